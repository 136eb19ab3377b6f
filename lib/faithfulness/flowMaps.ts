import { accumulate, positivePart } from '../daam/maps.js';
import type { EngineFlow } from '../native/flow.js';
import { outputOf } from '../native/engine.js';
import type { BlockEvent, FloatArray, ModelInfo, NativeFlowTarget } from '../native/types.js';
import { FLOW_METHODS, isBaseline, isFlowMethod, type FlowMethod, type Method } from './methods.js';
import type { Plane } from './plane.js';

/** Maps of one method on the patch grid. */
export interface MethodMaps {
  /** What the method shows in the end; for a flow the last of `accumulated`. */
  final: Plane;
  /** [L], first block first: max(U, 0) a block. */
  blocks?: Plane[];
  /** [L] running sums of `blocks`. */
  accumulated?: Plane[];
}

interface PassKey {
  coefficients: (typeof FLOW_METHODS)[FlowMethod]['coefficients'];
  allRows: boolean;
}

/** The passes that the methods need; the baselines ride on a gradient pass of the class row. */
function passesFor(methods: readonly Method[]): PassKey[] {
  const keys: PassKey[] = [];
  for (const method of methods) {
    if (!isFlowMethod(method) && !isBaseline(method)) continue;
    const { coefficients, allRows } = FLOW_METHODS[isFlowMethod(method) ? method : 'gradient'];
    const known = keys.some((key) => key.coefficients === coefficients && key.allRows === allRows);
    if (!known) keys.push({ coefficients, allRows });
  }
  return keys;
}

/** The patches of one row of N tokens, as a plane of the grid. */
function patchesOf(tokens: Float32Array, { prefixTokens, gridWidth, gridHeight }: ModelInfo): Plane {
  const data = tokens.slice(prefixTokens, prefixTokens + gridWidth * gridHeight);
  return { width: gridWidth, height: gridHeight, data };
}

/** Mean over heads of `attention` [1,H,N]. */
function meanOverHeads({ shape, data }: FloatArray): Float32Array {
  const [, heads = 1, tokens = 0] = shape;
  return Float32Array.from({ length: tokens }, (_, n) => {
    let sum = 0;
    for (let head = 0; head < heads; head += 1) sum += data[head * tokens + n] ?? 0;
    return sum / heads;
  });
}

function flowMaps(method: FlowMethod, events: readonly BlockEvent[], info: ModelInfo): MethodMaps {
  const ordered = [...events].sort((a, b) => a.block - b.block);
  const maps = ordered.map(({ arrays }) =>
    positivePart(patchesOf(outputOf({ arrays }, FLOW_METHODS[method].array).data, info).data),
  );
  const planes = (list: readonly Float32Array[]): Plane[] =>
    list.map((data) => ({ width: info.gridWidth, height: info.gridHeight, data }));
  const accumulated = planes(accumulate(maps));
  const final = accumulated.at(-1);
  if (final === undefined) throw new TypeError('a pass without blocks');
  return { final, blocks: planes(maps), accumulated };
}

/**
 * Raw attention of the class token in the last block (mean of the heads), attention rollout (Abnar and Zuidema 2020),
 * or Grad-CAM (Selvaraju et al. 2017) at the class token, ReLU last.
 */
function baselineMaps(method: Method, events: readonly BlockEvent[], info: ModelInfo): MethodMaps {
  const last = events.find(({ block }) => block === info.depth - 1);
  const first = events.find(({ block }) => block === 0);
  if (last === undefined || first === undefined)
    throw new TypeError('a pass without its first or last block');
  if (method === 'attention') return { final: patchesOf(meanOverHeads(outputOf(last, 'attention')), info) };
  if (method === 'rollout') return { final: patchesOf(outputOf(first, 'rollout').data, info) };
  const gradcam = patchesOf(outputOf(last, 'gradcam').data, info);
  return { final: { ...gradcam, data: positivePart(gradcam.data) } };
}

/**
 * Runs the passes that the flow methods and baselines among `methods` need over one forward pass of one image.
 *
 * @throws KfdError those of EngineFlow
 */
export async function readFlowMaps(
  flow: EngineFlow,
  info: ModelInfo,
  target: NativeFlowTarget,
  methods: readonly Method[],
  signal: AbortSignal | undefined,
): Promise<Map<Method, MethodMaps>> {
  const found = new Map<Method, MethodMaps>();
  for (const pass of passesFor(methods)) {
    const withBaselines = pass.coefficients === 'gradient' && !pass.allRows && methods.some(isBaseline);
    await flow.begin({ ...pass, baselines: withBaselines, targets: [target] }, { signal });
    const events: BlockEvent[] = [];
    for await (const event of flow.events({ signal })) events.push(event);
    for (const method of methods) {
      if (isFlowMethod(method)) {
        const { coefficients, allRows } = FLOW_METHODS[method];
        if (coefficients !== pass.coefficients || allRows !== pass.allRows) continue;
        found.set(method, flowMaps(method, events, info));
      } else if (withBaselines && isBaseline(method)) {
        found.set(method, baselineMaps(method, events, info));
      }
    }
  }
  return found;
}
