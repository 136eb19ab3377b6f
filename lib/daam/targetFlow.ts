import { KfdError } from '../errors.js';
import type { NpyArray } from '../data/npy.js';
import type { Completeness, FlowMaps, GridMap } from './flowDocument.js';
import { accumulate, massShares, meanThresholdIou, milestone, positivePart, spearman, sum } from './maps.js';
import { renderLevels, type RenderStyle } from './rendering.js';
import { targetName, targetSlug, type FlowTarget } from './target.js';

/** L blocks of N = prefixTokens + height * width tokens. */
export interface FlowGrid {
  blocks: number;
  prefixTokens: number;
  height: number;
  width: number;
}

/** One target of one image, as the engine gave it; every list has one entry a block, the first block first. */
export interface TargetRecord {
  target: FlowTarget;
  description: string;
  /** The target's value. */
  y: number;
  /** The class that `max` came to. */
  index: number | undefined;
  /** [L] of D: the coefficients at the class token; undefined where there is none. */
  coefficients: readonly Float32Array[] | undefined;
  /** [L] of N: relevance of every token, signed. */
  relevance: readonly Float32Array[];
  /** [L][H] of N, on request. */
  heads: readonly (readonly Float32Array[])[] | undefined;
  /** See FlowMaps.identity_error. */
  identityError: number;
  completeness: Completeness | null;
}

/** The shortest decimal that is the same float32. */
function shorten(value: number): number {
  for (let digits = 6; digits < 9; digits += 1) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return Number(value.toPrecision(9));
}

function concatenate(maps: readonly Float32Array[]): Float32Array {
  const size = maps[0]?.length ?? 0;
  const result = new Float32Array(maps.length * size);
  maps.forEach((map, index) => result.set(map, index * size));
  return result;
}

function concatenateBytes(maps: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(maps));
}

function splitArrays(
  { blocks, embedding, normBias, headBias, value, sum: total, residual }: Completeness,
  scalar: (value: number) => NpyArray,
  perBlock: (values: readonly number[]) => NpyArray,
): Record<string, NpyArray> {
  return {
    patches: perBlock(blocks.map((block) => block.patches)),
    attention_bias: perBlock(blocks.map((block) => block.attentionBias)),
    mlp: perBlock(blocks.map((block) => block.mlp)),
    embedding: scalar(embedding),
    norm_bias: scalar(normBias),
    head_bias: scalar(headBias),
    value: scalar(value),
    sum: scalar(total),
    residual: scalar(residual),
  };
}

/** The attention flow of one image towards one target: maps a block on the patch grid, and the proof that comes with them. */
export class TargetFlow {
  /** The command line's spelling of the target. */
  readonly name: string;
  /** The target as a part of a file name. */
  readonly slug: string;
  readonly target: FlowTarget;
  readonly description: string;
  /** The target's value for this image. */
  readonly y: number;
  /** [L] maps of h*w: U, signed. */
  readonly signed: readonly Float32Array[];
  /** [L] maps of h*w: max(U, 0). */
  readonly blockMaps: readonly Float32Array[];
  /** [L] running sums of blockMaps. */
  readonly accumulated: readonly Float32Array[];
  /** [L] sum of U over the prefix tokens. */
  readonly prefixMass: readonly number[];
  /** [L] part of the final mass. */
  readonly share: readonly number[];
  /** First block (from 0) with half and with nine tenths of the final mass; null without mass. */
  readonly milestones: { readonly half: number | null; readonly ninety: number | null };
  readonly identityError: number;
  /** The exact split of the target's linear form; null where the model has none. */
  readonly completeness: Completeness | null;
  /** [L] of D: the coefficients at the class token; undefined where there is none. */
  readonly coefficients: readonly Float32Array[] | undefined;
  /** [L][H] maps max(U of the head, 0), on request. */
  readonly heads: readonly (readonly Float32Array[])[] | undefined;
  private readonly index: number | undefined;

  /** @internal made by computeFlow */
  constructor(
    private readonly grid: FlowGrid,
    record: TargetRecord,
  ) {
    const patches = (values: Float32Array) => values.slice(grid.prefixTokens);
    this.target = record.target;
    this.name = targetName(record.target);
    this.slug = targetSlug(record.target);
    this.description = record.description;
    this.index = record.index;
    this.y = record.y;
    this.signed = record.relevance.map(patches);
    this.blockMaps = this.signed.map(positivePart);
    this.accumulated = accumulate(this.blockMaps);
    this.prefixMass = record.relevance.map((values) => sum(values.subarray(0, grid.prefixTokens)));
    this.share = massShares(this.blockMaps);
    this.milestones = { half: milestone(this.share, 0.5), ninety: milestone(this.share, 0.9) };
    this.identityError = record.identityError;
    this.completeness = record.completeness;
    this.coefficients = record.coefficients;
    this.heads = record.heads?.map((heads) => heads.map((values) => positivePart(patches(values))));
  }

  /** [L] how much each accumulated map already looks like the final one. */
  agreement(): { iou: number[]; spearman: number[] } {
    const final = this.accumulated.at(-1) ?? new Float32Array();
    return {
      iou: this.accumulated.map((map) => meanThresholdIou(map, final)),
      spearman: this.accumulated.map((map) => spearman(map, final)),
    };
  }

  /**
   * The accumulated maps as the official code draws them: [L] maps of h*w levels 0 to 255 (spec/daam.md 1.6).
   *
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT
   */
  render(style: RenderStyle = 'sigmoid'): Uint8Array[] {
    const given: string = style;
    if (given === 'linear' || given === 'sigmoid') return renderLevels(this.accumulated, style);
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected style to be linear or sigmoid but received ${JSON.stringify(style)}.`,
    );
  }

  /** The entry of this target in the JSON `kfd.daam/1`. */
  toJSON(): FlowMaps {
    const index = this.index ?? ('index' in this.target ? this.target.index : undefined);
    return {
      target: {
        name: this.name,
        kind: this.target.kind,
        description: this.description,
        ...(index === undefined ? {} : { index }),
        ...('other' in this.target ? { other: this.target.other } : {}),
      },
      y: this.y,
      block_maps: this.blockMaps.map((map) => this.rows(map)),
      accumulated: this.accumulated.map((map) => this.rows(map)),
      signed: this.signed.map((map) => this.rows(map)),
      prefix_mass: this.prefixMass,
      share: this.share,
      milestones: this.milestones,
      agreement: this.agreement(),
      identity_error: this.identityError,
      completeness: this.completeness,
      ...(this.heads === undefined
        ? {}
        : { heads: this.heads.map((heads) => heads.map((map) => this.rows(map))) }),
    };
  }

  /** The arrays of the .npz for a batch of one; see docs/daam.md. `parts`: also those of the exact split. */
  arrays(parts: boolean): Record<string, NpyArray> {
    const { blocks, height, width } = this.grid;
    const scalar = (value: number): NpyArray => ({ shape: [1], data: Float32Array.of(value) });
    const perBlock = (values: readonly number[]): NpyArray => ({
      shape: [1, blocks],
      data: Float32Array.from(values),
    });
    const maps = (values: readonly Float32Array[]): NpyArray => ({
      shape: [1, blocks, height, width],
      data: concatenate(values),
    });
    const levels = (style: RenderStyle): NpyArray => ({
      shape: [1, blocks, height, width],
      data: concatenateBytes(this.render(style)),
    });
    return {
      y: scalar(this.y),
      ...(this.coefficients === undefined
        ? {}
        : {
            C: {
              shape: [1, blocks, this.coefficients[0]?.length ?? 0],
              data: concatenate(this.coefficients),
            },
          }),
      U: maps(this.signed),
      L: maps(this.blockMaps),
      accumulated: maps(this.accumulated),
      prefix_mass: perBlock(this.prefixMass),
      linear: levels('linear'),
      sigmoid: levels('sigmoid'),
      ...(this.heads === undefined
        ? {}
        : {
            L_heads: {
              shape: [1, blocks, this.heads[0]?.length ?? 0, height, width],
              data: concatenate(this.heads.flat()),
            },
          }),
      ...(parts && this.completeness !== null ? splitArrays(this.completeness, scalar, perBlock) : {}),
    };
  }

  private rows(map: Float32Array): GridMap {
    const { height, width } = this.grid;
    return Array.from({ length: height }, (_, row) =>
      Array.from(map.subarray(row * width, (row + 1) * width), shorten),
    );
  }
}
