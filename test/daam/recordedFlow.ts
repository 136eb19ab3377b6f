import type { FlowSource } from '../../lib/daam/computeFlow.js';
import type {
  BlockEvent,
  FloatArray,
  ModelInfo,
  NamedArrays,
  NativeFlowPass,
  RunResult,
} from '../../lib/native/types.js';
import { arrayOf, present, type ReferenceCase } from '../native/reference.js';

/**
 * The arrays that PyTorch computed for one image, handed out as the engine would (format: python/oracles): what comes
 * after the engine can be tested without it.
 */

const TIMING = { queueMs: 0, preprocessMs: 0, forwardMs: 1, batch: 1 };

/** Entry `index` of axis `axis`. */
export function take({ shape, data }: FloatArray, axis: number, index: number): FloatArray {
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = shape[axis] ?? 1;
  const taken = new Float32Array(outer * inner);
  for (let i = 0; i < outer; i += 1) {
    const start = (i * size + index) * inner;
    taken.set(data.subarray(start, start + inner), i * inner);
  }
  return { shape: [...shape.slice(0, axis), ...shape.slice(axis + 1)], data: taken };
}

/** Keeps the axis, with one entry. */
function only(array: FloatArray, axis: number, index: number): FloatArray {
  const shape = array.shape.map((size, at) => (at === axis ? 1 : size));
  return { shape, data: take(array, axis, index).data };
}

export function infoOf(found: ReferenceCase, kind: ModelInfo['kind'] = 'vit'): ModelInfo {
  const [, , inputHeight = 0, inputWidth = 0] = arrayOf(found, 'image').shape;
  const [depth = 0, , , width = 0] = arrayOf(found, 'class.gradient.C').shape;
  const tokens = present(arrayOf(found, 'class.gradient.U').shape.at(-1), 'tokens');
  const [, , , gridHeight = 0, gridWidth = 0] = present(found.bytes.get('render.linear'), 'render').shape;
  return {
    kind,
    device: 'cpu',
    precision: 'fp32',
    execution: 'own-blocks',
    inputWidth,
    inputHeight,
    depth,
    width,
    heads: Number(present(found.settings.get('heads'), 'heads')),
    patch: inputHeight / gridHeight,
    prefixTokens: tokens - gridHeight * gridWidth,
    gridHeight,
    gridWidth,
    classes: arrayOf(found, 'expected.logits').shape[1] ?? 0,
    layerNormEps: 1e-6,
    activation: 'gelu',
    taps: [],
    promptTokens: 0,
    promptWidth: 0,
    features: [],
    verificationError: 0,
    warnings: [],
  };
}

export class RecordedFlow implements FlowSource {
  private arrays: { block: number; last: boolean; arrays: NamedArrays }[] = [];

  /** @param targets which of the recorded targets the passes are asked for, in their order */
  constructor(
    private readonly found: ReferenceCase,
    private readonly image: number,
    private readonly targets: readonly number[],
  ) {}

  forward(): Promise<RunResult> {
    const of = (name: string) => only(arrayOf(this.found, name), 0, this.image);
    const arrays = { logits: of('expected.logits'), feature: of('expected.feature') };
    return Promise.resolve({ arrays, timing: TIMING });
  }

  begin(pass: NativeFlowPass): Promise<RunResult> {
    const prefix = `${pass.allRows === true ? 'all' : 'class'}.${pass.coefficients}.`;
    const recorded = [...this.found.arrays].filter(([name]) => name.startsWith(prefix));
    const chosen = recorded.map(([name, array]) => [name.slice(prefix.length), this.choose(array)] as const);
    const [blocks = 0] = arrayOf(this.found, 'class.gradient.C').shape;
    const order = Array.from({ length: blocks }, (_, block) => block);
    if (pass.coefficients !== 'direct') order.reverse();
    this.arrays = order.map((block, step) => {
      const last = step + 1 === blocks;
      const arrays = chosen.flatMap(([name, { array, perBlock }]) =>
        perBlock ? [[name, take(array, 0, block)] as const] : last ? [[name, array] as const] : [],
      );
      return { block, last, arrays: Object.fromEntries(arrays) };
    });
    const y = this.choose(arrayOf(this.found, 'expected.y')).array;
    return Promise.resolve({ arrays: { y }, timing: TIMING });
  }

  async *events(): AsyncGenerator<BlockEvent, void, undefined> {
    for (const event of this.arrays) yield await Promise.resolve(event);
  }

  /** The recorded image and targets of an array [L,T,B,...] or [T,B]. */
  private choose(array: FloatArray): { array: FloatArray; perBlock: boolean } {
    const perBlock = array.shape.length > 2;
    const axis = perBlock ? 1 : 0;
    const image = only(array, axis + 1, this.image);
    const parts = this.targets.map((target) => take(image, axis, target));
    const shape = [...image.shape];
    shape[axis] = this.targets.length;
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const outer = image.shape.slice(0, axis).reduce((a, b) => a * b, 1);
    const inner = (parts[0]?.data.length ?? 0) / outer;
    for (let i = 0; i < outer; i += 1) {
      parts.forEach((part, t) =>
        data.set(part.data.subarray(i * inner, (i + 1) * inner), (i * parts.length + t) * inner),
      );
    }
    return { array: { shape, data }, perBlock };
  }
}
