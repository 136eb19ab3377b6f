import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { KfdError, throwIfAborted } from '../errors.js';
import { childEnvironment } from '../native/config.js';

export interface DetectorBenchmarkOptions {
  /** Detector model; default: the bundled one. */
  model?: string | undefined;
  /** The picture that is detected over and over, decoded each time. */
  photograph: string;
  /** Lanes of the full-machine trial; default: all cores. */
  lanes?: number | undefined;
  /** Length of each trial in seconds. Default 5. */
  seconds?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** What a child process is asked to measure. */
export interface DetectorTrial {
  model: string | undefined;
  photograph: string;
  lanes: number;
  seconds: number;
}

export interface DetectorTrialResult {
  images: number;
  seconds: number;
  imagesPerSecond: number;
  /** 99th percentile of the event loop's delay while it ran. */
  eventLoopP99Ms: number;
}

export interface DetectorBenchmark {
  photograph: string;
  oneLane: DetectorTrialResult;
  allLanes: DetectorTrialResult;
  lanes: number;
}

const TRIAL_SCRIPT = fileURLToPath(new URL('./benchmarkTrial.js', import.meta.url));

/** Each trial has a process of its own, so that none inherits another's memory, threads or warm caches. */
async function runTrial(trial: DetectorTrial, signal: AbortSignal | undefined): Promise<DetectorTrialResult> {
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    const child = fork(TRIAL_SCRIPT, [JSON.stringify(trial)], {
      env: childEnvironment(),
      execArgv: [],
      stdio: ['ignore', process.stderr, process.stderr, 'ipc'], // standard output belongs to the caller's results
    });
    const stop = (): void => void child.kill();
    signal?.addEventListener('abort', stop, { once: true });
    let answer: { result?: DetectorTrialResult; error?: string } = {};
    child.on('message', (message) => (answer = message as typeof answer));
    child.on('error', reject);
    child.on('exit', (code, killedBy) => {
      signal?.removeEventListener('abort', stop);
      const reason = answer.error ?? `it ended with ${killedBy ?? `exit code ${code ?? '?'}`}`;
      if (answer.result !== undefined) resolve(answer.result);
      else if (signal?.aborted === true)
        reject(new KfdError('ERR_KFD_ABORTED', 'The benchmark was aborted.'));
      else reject(new KfdError('ERR_KFD_INTERNAL', `A detector trial failed: ${reason}`));
    });
  });
}

/**
 * Measures the detector end to end (decode, find the face, align, judge) in pictures a second, on one lane and on all.
 *
 * @throws KfdError those of Detector.load, ERR_KFD_ABORTED, ERR_KFD_INTERNAL (a trial failed)
 */
export async function benchmarkDetector(options: DetectorBenchmarkOptions): Promise<DetectorBenchmark> {
  const { model, photograph, seconds = 5, lanes = availableParallelism(), signal } = options;
  const oneLane = await runTrial({ model, photograph, seconds, lanes: 1 }, signal);
  const allLanes = lanes === 1 ? oneLane : await runTrial({ model, photograph, seconds, lanes }, signal);
  return { photograph, oneLane, allLanes, lanes };
}
