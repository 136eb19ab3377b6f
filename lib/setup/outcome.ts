import { toKfdError, type KfdError } from '../errors.js';

/** A step of an examination, which may fail without stopping the others. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; error: KfdError };

/** @throws KfdError ERR_KFD_ABORTED only */
export async function attempt<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    const problem = toKfdError(error);
    if (problem.code === 'ERR_KFD_ABORTED') throw problem;
    return { ok: false, error: problem };
  }
}
