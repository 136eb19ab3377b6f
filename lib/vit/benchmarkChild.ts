import { fork } from 'node:child_process';
import { KfdError, throwIfAborted, toKfdError } from '../errors.js';
import { childEnvironment } from '../native/config.js';

type Answer<Result> = { result: Result } | { error: { code: string; message: string } };

/**
 * Runs one trial in a process of its own, so that no trial inherits another's memory, threads or warm caches.
 * @param script a file that calls {@link answerTrial}
 * @throws KfdError ERR_KFD_ABORTED, ERR_KFD_INTERNAL (the trial failed)
 */
export async function runTrial<Result>(
  script: string,
  trial: { file: string; measure: string },
  signal: AbortSignal | undefined,
): Promise<Result> {
  throwIfAborted(signal);
  return new Promise<Result>((resolve, reject) => {
    // Standard output belongs to the caller's results.
    const stdio = ['ignore', process.stderr, process.stderr, 'ipc'] as const;
    const child = fork(script, [JSON.stringify(trial)], {
      env: childEnvironment(),
      execArgv: [], // flags of this process (a test runner's, --inspect) are not the trial's
      stdio: [...stdio],
    });
    const stop = (): void => void child.kill();
    signal?.addEventListener('abort', stop, { once: true });
    let answer: Answer<Result> | undefined;
    child.on('message', (message) => (answer = message as Answer<Result>));
    child.on('error', reject);
    child.on('exit', (code, killedBy) => {
      signal?.removeEventListener('abort', stop);
      if (answer !== undefined && 'result' in answer) {
        resolve(answer.result);
      } else if (signal?.aborted === true) {
        reject(new KfdError('ERR_KFD_ABORTED', 'The benchmark was aborted.'));
      } else {
        const reason = answer?.error.message ?? `it ended with ${killedBy ?? `exit code ${code ?? '?'}`}`;
        reject(
          new KfdError('ERR_KFD_INTERNAL', `A ${trial.measure} trial of ${trial.file} failed: ${reason}`),
        );
      }
    });
  });
}

/** The other end, in the child: reads the trial from the command line, sends what `measure` gives, disconnects. */
export async function answerTrial(measure: (trial: unknown) => Promise<unknown>): Promise<void> {
  try {
    const result = await measure(JSON.parse(process.argv[2] ?? '{}'));
    process.send?.({ result });
  } catch (error) {
    process.send?.({ error: toKfdError(error).toJSON() });
    process.exitCode = 1;
  } finally {
    process.disconnect();
  }
}
