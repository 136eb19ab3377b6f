import type { NpyArray } from '../data/npy.js';
import { KfdError } from '../errors.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { FlowDocument } from './flowDocument.js';
import type { FlowCoefficients, FlowRows } from './options.js';
import type { RenderStyle } from './rendering.js';
import type { FlowGrid, TargetFlow } from './targetFlow.js';

/** Everything about a flow but its maps. */
export type FlowFrame = Omit<FlowDocument, 'schema' | 'grid' | 'blocks' | 'prefix_tokens' | 'flows'>;

/** The attention flow of one image, towards one target or several (DAAM, arXiv 2503.14640). */
export class AttentionFlow {
  readonly coefficients: FlowCoefficients;
  readonly rows: FlowRows;

  /** @internal made by computeFlow */
  constructor(
    readonly frame: FlowFrame,
    readonly grid: FlowGrid,
    /** One a target, in the order asked for. */
    readonly targets: readonly TargetFlow[],
    /** The network's view of the image, 8-bit RGB, where `pixels` was asked for. */
    readonly picture: RgbImage | undefined,
  ) {
    this.coefficients = frame.coefficients;
    this.rows = frame.rows;
  }

  /**
   * The flow towards one target.
   *
   * @param which its place, or its name such as "logit:281"; default the first
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT when there is no such target
   */
  target(which: number | string = 0): TargetFlow {
    const found =
      typeof which === 'number' ? this.targets[which] : this.targets.find(({ name }) => name === which);
    if (found !== undefined) return found;
    const names = this.targets.map(({ name }) => name).join(', ');
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected one of the targets ${names} but received ${which}.`,
    );
  }

  /** The accumulated maps of a target (default the first) as [L] maps of h*w levels; see TargetFlow.render. */
  render({ style, target }: { style?: RenderStyle; target?: number | string } = {}): Uint8Array[] {
    return this.target(target).render(style);
  }

  /** The document of schema kfd.daam/1; JSON.stringify(flow) writes it. */
  toJSON(): FlowDocument {
    const { blocks, prefixTokens, height, width } = this.grid;
    const { input, crop, network, model, coefficients, rows, notes, verdict, timing } = this.frame;
    return {
      schema: 'kfd.daam/1',
      input,
      crop,
      network,
      model,
      coefficients,
      rows,
      grid: [height, width],
      blocks,
      prefix_tokens: prefixTokens,
      notes,
      ...(verdict === undefined ? {} : { verdict }),
      flows: this.targets.map((target) => target.toJSON()),
      timing,
    };
  }

  /** The arrays of one target's .npz for a batch of one (docs/daam.md). */
  arrays(target: number | string = 0): Record<string, NpyArray> {
    return this.target(target).arrays(this.coefficients === 'direct');
  }
}

/**
 * The arrays of several images as one batch: the first axes joined.
 *
 * @param each arrays of batches with the same names and shapes but for the first axis
 */
export function stackArrays(each: readonly Readonly<Record<string, NpyArray>>[]): Record<string, NpyArray> {
  const names = Object.keys(each[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const parts = each.flatMap((arrays) => arrays[name] ?? []);
      const shape = [
        parts.reduce((rows, part) => rows + (part.shape[0] ?? 0), 0),
        ...(parts[0]?.shape.slice(1) ?? []),
      ];
      return [name, joined(shape, parts)];
    }),
  );
}

function joined(shape: number[], parts: readonly NpyArray[]): NpyArray {
  const length = shape.reduce((a, b) => a * b, 1);
  const join = <Data extends Float32Array | Uint8Array>(data: Data): Data => {
    let offset = 0;
    for (const part of parts) {
      data.set(part.data as Data, offset);
      offset += part.data.length;
    }
    return data;
  };
  const isBytes = parts.every((part) => part.data instanceof Uint8Array);
  return isBytes
    ? { shape, data: join(new Uint8Array(length)) }
    : { shape, data: join(new Float32Array(length)) };
}
