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

export type LoadTestReport =
  LoadTestPassed | { ok: false; error: { code: ErrorCode; message: string; hint: string | null } };

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
 * Loads the addon in a child process and runs the face detector once, so that a crash of the addon or of libtorch is
 * an error message and not the end of this process.
 * @throws KfdError ERR_KFD_ADDON_LOAD and whatever loading the addon or the model gives
 */
export async function testAddon(signal?: AbortSignal): Promise<LoadTestPassed> {
  const script = fileURLToPath(new URL('./loadTestChild.js', import.meta.url));
  const child = await runChild(process.execPath, [script], {
    signal,
    timeoutMs: TIMEOUT_MS,
    environment: { OMP_NUM_THREADS: '1' },
  });
  if (child.code !== 0 || child.stdout === '') throw crashed(child);
  const report = JSON.parse(child.stdout) as LoadTestReport;
  if (report.ok) return report;
  const { code, message, hint } = report.error;
  throw new KfdError(code, `The load test failed: ${message}`, hint === null ? {} : { hint });
}
