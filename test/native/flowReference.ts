/**
 * Attention flows that PyTorch computed in float64 (python/oracles writes the cases daam_*): targets, and which arrays
 * each pass must give.
 */
import type { EngineFlow } from '../../lib/native/flow.js';
import type { BlockEvent, FloatArray, NativeFlowPass, NativeFlowTarget } from '../../lib/native/types.js';
import { arrayOf, present, type ReferenceCase } from './reference.js';

/** A pass whose arrays the case holds under `<prefix>.<array>`. */
export interface ReferencePass {
  prefix: string;
  /** Which of the case's targets the pass explains. */
  chosen: number[];
  pass: NativeFlowPass;
}

export function targetsOf(found: ReferenceCase): NativeFlowTarget[] {
  const count = Number(present(found.settings.get('targets'), `targets of ${found.name}`));
  return Array.from({ length: count }, (_, t) => {
    const kind = found.settings.get(`target.${t}.kind`) as NativeFlowTarget['kind'];
    const weights = found.arrays.get(`target.${t}.weights`);
    return weights === undefined ? { kind } : { kind, weights: weights.data };
  });
}

/** Every combination of rows and coefficients that has a meaning for the case's model. */
export function passesOf(found: ReferenceCase): ReferencePass[] {
  const all = targetsOf(found);
  const passes: ReferencePass[] = [];
  for (const rows of ['class', 'all']) {
    for (const coefficients of ['gradient', 'class-row', 'direct'] as const) {
      const prefix = `${rows}.${coefficients}`;
      if (!found.arrays.has(`${prefix}.U`)) continue;
      // p reads patch tokens, so the class token's row alone says nothing of it: the engine refuses.
      const readsClassToken = (t: NativeFlowTarget): boolean =>
        rows === 'all' || coefficients === 'gradient' || t.kind !== 'forgery';
      const chosen = [...all.keys()].filter((t) => readsClassToken(present(all[t], 'target')));
      const targets = chosen.map((t) => present(all[t], 'target'));
      passes.push({
        prefix,
        chosen,
        pass: {
          coefficients,
          allRows: rows === 'all',
          perHead: found.arrays.has(`${prefix}.U_heads`),
          targets,
        },
      });
    }
  }
  return passes;
}

/** All events of one pass, by block. */
export async function blocksOf(flow: EngineFlow): Promise<BlockEvent[]> {
  const events: BlockEvent[] = [];
  for await (const event of flow.events()) events[event.block] = event;
  return events;
}

/** The chosen rows of the first axis. */
export function rowsOf(array: FloatArray, chosen: readonly number[]): FloatArray {
  const [count = 0, ...rest] = array.shape;
  const size = array.data.length / count;
  const data = new Float32Array(chosen.length * size);
  for (const [i, row] of chosen.entries())
    data.set(array.data.subarray(row * size, (row + 1) * size), i * size);
  return { shape: [chosen.length, ...rest], data };
}

/** The expected array [T,...] of one event: row `block` of an array [L,T,...], else the whole array [T,B]. */
export function expectedRow(
  found: ReferenceCase,
  key: string,
  block: number,
  chosen: readonly number[],
): FloatArray {
  const whole = arrayOf(found, key);
  if (whole.shape.length === 2) return rowsOf(whole, chosen);
  const { shape, data } = rowsOf(whole, [block]);
  return rowsOf({ shape: shape.slice(1), data }, chosen);
}
