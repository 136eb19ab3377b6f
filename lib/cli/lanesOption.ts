import { KfdError } from '../errors.js';

/** The value of --lanes: undefined is the engine's own plan, as `auto` is. */
export function lanesOption(text: string | undefined): number | undefined {
  if (text === undefined || text === 'auto') return undefined;
  const lanes = Number(text);
  if (Number.isSafeInteger(lanes) && lanes > 0) return lanes;
  throw new KfdError(
    'ERR_KFD_USAGE',
    `Expected --lanes to be auto or a positive integer but received ${text}.`,
  );
}
