import { fileURLToPath } from 'node:url';
import { KfdError, type ErrorCode } from '../errors.js';
import type { RuntimeInfo } from '../native/types.js';
import { lastLines, runChild, type ChildResult } from './child.js';

export interface LoadTestPassed {
  ok: true;
  runtime: RuntimeInfo;
  /** Loading the face detector and one pass through it. */
  milliseconds: number;
}

/** What the child prints. */
export type LoadTestReport<Passed extends { ok: true } = LoadTestPassed> =
  Passed | { ok: false; error: { code: ErrorCode; message: string; hint: string | null } };

const TIMEOUT_MS = 120_000;

function crashed(child: ChildResult): KfdError {
  const how = child.timedOut
    ? `did not finish within ${TIMEOUT_MS / 1000} s`
    : child.signal === null
      ? `ended with exit code ${child.code ?? 'none'}`
      : `was ended by ${child.signal}`;
  const illegal = 'This processor lacks instructions that the addon was built for: ';
  return new KfdError('ERR_KFD_ADDON_LOAD', `The load test ${how}: ${lastLines(child.stderr, 5)}`, {
    hint: `${child.signal === 'SIGILL' ? illegal : ''}build again here with \`npx kfd-native setup --force\`.`,
  });
}

/**
 * Runs one of the load tests in a child process, so that a crash there is an error message and not the end of this one.
 * @param script the compiled child, which prints its report as JSON
 * @throws KfdError ERR_KFD_ADDON_LOAD when it crashes, else what the report holds
 */
export async function runLoadTest<Passed extends { ok: true }>(
  script: URL,
  signal: AbortSignal | undefined,
): Promise<Passed> {
  const child = await runChild(process.execPath, [fileURLToPath(script)], {
    signal,
    timeoutMs: TIMEOUT_MS,
    environment: { OMP_NUM_THREADS: '1' },
  });
  if (child.code !== 0 || child.stdout === '') throw crashed(child);
  const report = JSON.parse(child.stdout) as LoadTestReport<Passed>;
  if (report.ok) return report;
  const { code, message, hint } = report.error;
  throw new KfdError(code, `The load test failed: ${message}`, hint === null ? {} : { hint });
}

/**
 * Loads the addon and runs the face detector once.
 * @throws KfdError ERR_KFD_ADDON_LOAD and whatever loading the addon or the model gives
 */
export function testAddon(signal?: AbortSignal): Promise<LoadTestPassed> {
  return runLoadTest<LoadTestPassed>(new URL('./loadTestChild.js', import.meta.url), signal);
}
