/**
 * The JSON of an attention flow, schema `kfd.daam/1`: what `daam --format json` writes, what the viewer shows, and what
 * stays when the arrays are gone. Maps are row-major [h][w] lists of rows; L blocks, grid h x w. Written from
 * spec/daam.md; rendering and sums can be recomputed from it.
 */

/** One number a grid cell: `map[row][column]`. */
export type GridMap = readonly (readonly number[])[];

export interface FlowModel {
  name: string;
  /** Of the model file; null where it has no manifest. */
  sha256: string | null;
  device: string;
  precision: string;
  maturity: string | null;
}

/** Frozen-LayerNorm split of `value` (spec/daam.md 3.2, I4); every part is a plain sum over blocks. */
export interface Completeness {
  /** What is split: the target itself where it is linear in the feature, else its first-order form. */
  value: number;
  /** Attention to patch tokens: the part that a map can show. */
  patches: number;
  /** Attention to class, distillation and register tokens. */
  prefix: number;
  attentionBias: number;
  mlp: number;
  /** Class token and position before the first block. */
  embedding: number;
  normBias: number;
  headBias: number;
  /** The sum of all parts above. */
  sum: number;
  /** value - sum: rounding. */
  residual: number;
  /** y - value: what no linear split reaches; 0 for logits, differences and features. */
  remainder: number;
  /** Per block, in the same terms: what the attention to patches, to prefix tokens, its bias, and the MLP added. */
  blocks: readonly { patches: number; prefix: number; attentionBias: number; mlp: number }[];
}

export interface FlowMaps {
  /** Parsed target, e.g. { kind: 'logit', index: 281 }; `name` is its command-line spelling, e.g. "logit:281". */
  target: { name: string; kind: string; description: string; index?: number; other?: number };
  /** The target's value for this image. */
  y: number;
  /** [L] maps max(U, 0); U as `coefficients` says, before any normalisation. */
  block_maps: readonly GridMap[];
  /** [L] running sums of block_maps, from the first block on. */
  accumulated: readonly GridMap[];
  /** [L] maps U itself, signed. */
  signed: readonly GridMap[];
  /** [L] sum of U over the prefix tokens: relevance that has no place on the grid. */
  prefix_mass: readonly number[];
  /** [L] share of block b in the final mass: sum(block_maps[b]) / sum(accumulated[L-1]); zeros where that is zero. */
  share: readonly number[];
  /** First block (from 0) whose accumulated mass reaches half and nine tenths of the final; null without mass. */
  milestones: { half: number | null; ninety: number | null };
  /** [L] agreement of accumulated[b] with the final map: IoU of the cells above each map's mean, Spearman correlation. */
  agreement: { iou: readonly number[]; spearman: readonly number[] };
  /** Largest |sum(U) - <C, T>| over the blocks, relative to the largest |<C, T>| or |U| (I15). */
  identity_error: number;
  /** Null where the model has no such split (an attn.norm between attention and projection); a note says so. */
  completeness: Completeness | null;
  /** [L][H] maps max(U of the head, 0), on request. */
  heads?: readonly (readonly GridMap[])[];
}

export interface FlowDocument {
  schema: 'kfd.daam/1';
  input: { path: string | null; width: number; height: number };
  /** Maps network pixels to picture pixels, row-major 2x3, pixel centres at +0.5; null for a ready-made tensor. */
  crop: readonly number[] | null;
  /** Size of the network's input in pixels. */
  network: { width: number; height: number };
  model: FlowModel;
  coefficients: 'gradient' | 'signed-gradient' | 'class-row' | 'direct';
  rows: 'class' | 'all';
  /** [h, w] */
  grid: readonly [number, number];
  blocks: number;
  prefix_tokens: number;
  /** What a reader must know, e.g. how poor class-row is in early blocks. */
  notes: readonly string[];
  /** Of the detector, where it judged the same forward pass. */
  verdict?: { score: number; threshold: number; verdict: 'fake' | 'real' };
  flows: readonly FlowMaps[];
  timing: { forwardMs: number; flowMs: number };
}
