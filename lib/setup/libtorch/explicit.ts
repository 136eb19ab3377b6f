import { KfdError } from '../../errors.js';
import type { EnvironmentConfig } from '../../native/config.js';
import type { LibtorchLock } from './lock.js';
import { checkCompatible, inspectLibtorch } from './verify.js';
import type { Libtorch } from './types.js';

/**
 * A folder that the user names. If it is unusable that is an error and nothing else is tried: who names a libtorch
 * must never get another one.
 * @param flag value of --libtorch, which wins over the variables
 * @throws KfdError ERR_KFD_LIBTORCH_NOT_FOUND, ERR_KFD_LIBTORCH_MISMATCH
 */
export async function explicitLibtorch(
  flag: string | undefined,
  environment: EnvironmentConfig,
  lock: LibtorchLock,
): Promise<Libtorch | undefined> {
  const named = flag === undefined ? environment.libtorch : { path: flag, variable: '--libtorch' };
  if (named === undefined) return undefined;
  try {
    const facts = await inspectLibtorch(named.path);
    checkCompatible(facts, lock, environment.skipTorchVersionCheck);
    return { ...facts, source: 'explicit', why: `${named.variable} names it` };
  } catch (error) {
    if (!(error instanceof KfdError)) throw error;
    throw new KfdError(error.code, `${named.variable}: ${error.message}`, {
      cause: error,
      hint: `${error.hint ?? ''} Without ${named.variable} another libtorch is looked for.`.trim(),
    });
  }
}
