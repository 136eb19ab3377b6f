import type { AttentionFlow } from './attentionFlow.js';
import type { Completeness } from './flowDocument.js';
import type { FlowCoefficients, FlowRows } from './options.js';
import { isLinear } from './target.js';
import type { TargetFlow } from './targetFlow.js';

/** A flow in a few numbers, for results that are no place for maps. Blocks count from 0. */
export interface FlowSummary {
  target: string;
  y: number;
  coefficients: FlowCoefficients;
  rows: FlowRows;
  blocks: number;
  /** [L] part of the final mass. */
  share: readonly number[];
  /** First block with half and with nine tenths of the final mass; null without mass. */
  milestones: { half: number | null; ninety: number | null };
  /** The exact split without its blocks; null where the model has none. */
  completeness: Omit<Completeness, 'blocks'> | null;
}

const round = (value: number) => Number(value.toPrecision(6));

function withoutBlocks(completeness: Completeness): Omit<Completeness, 'blocks'> {
  const parts = Object.entries(completeness).filter(([name]) => name !== 'blocks');
  return Object.fromEntries(parts) as unknown as Omit<Completeness, 'blocks'>;
}

export function summariseFlow(flow: AttentionFlow): FlowSummary[] {
  return flow.targets.map((target) => ({
    target: target.name,
    y: target.y,
    coefficients: flow.coefficients,
    rows: flow.rows,
    blocks: flow.grid.blocks,
    share: target.share.map(round),
    milestones: target.milestones,
    completeness: target.completeness === null ? null : withoutBlocks(target.completeness),
  }));
}

const percent = (part: number) => `${Math.round(100 * part)} %`;

/**
 * When the decision forms, for people, who count blocks from 1: "half of the mass by block 7 of 12, nine tenths by block
 * 10; block 8 adds most (23 %)".
 */
export function describeMilestones({ share, milestones: { half, ninety } }: TargetFlow): string {
  if (half === null || ninety === null) return 'no positive relevance on any patch in any block';
  const most = share.reduce((best, value, block) => (value > (share[best] ?? 0) ? block : best), 0);
  return (
    `half of the mass by block ${half + 1} of ${share.length}, nine tenths by block ${ninety + 1}; ` +
    `block ${most + 1} adds most (${percent(share[most] ?? 0)})`
  );
}

const signed = (value: number) => `${value < 0 ? '-' : '+'}${Math.abs(value).toPrecision(4)}`;

/**
 * Every part of the split as one sum, with the residual beside it: "exact split: patches +1.2, ... = +9.7 (residual
 * 1e-6)". Of a target that is not linear only the first-order form can be split, and the words say so.
 */
export function describeCompleteness({ completeness, target }: TargetFlow): string {
  if (completeness === null) return 'no split: the model has none over tokens';
  const { patches, prefix, attentionBias, mlp, embedding, normBias, headBias, value, residual } =
    completeness;
  const parts = [
    `patches ${signed(patches)}`,
    `prefix tokens ${signed(prefix)}`,
    `attention bias ${signed(attentionBias)}`,
    `MLP ${signed(mlp)}`,
    `embedding ${signed(embedding)}`,
    `norm bias ${signed(normBias)}`,
    `head bias ${signed(headBias)}`,
  ];
  const sum = `${parts.join(', ')} = ${signed(value)} (residual ${residual.toExponential(1)})`;
  if (isLinear(target)) return `exact split: ${sum}`;
  return `split of the first-order form: ${sum}; outside of any such sum: ${signed(completeness.remainder)}`;
}
