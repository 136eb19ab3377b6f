import type { Completeness, FlowDocument, FlowMaps, GridMap } from '../daam/flowDocument.js';
import {
  isApproximate,
  peakOf,
  runningShare,
  strongestBlock,
  type FlowScale,
  type FlowView,
} from './flowScale.js';

/**
 * A flow in plain words. Blocks are counted from 1 here, as people and the papers do; arrays count from 0. No Node and
 * no DOM: the viewer page carries the same code.
 */

const MINUS = '\u2212';
const NO_BREAK = '\u00a0';

/** Three significant digits, with a true minus sign. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0';
  const exponential = size < 1e-3 || size >= 1e5;
  const short = exponential
    ? size.toExponential(2).replace('e-', `e${MINUS}`)
    : String(Number(size.toPrecision(3)));
  return value < 0 ? MINUS + short : short;
}

/** With a sign also for positive numbers: parts of a sum. */
export function formatSigned(value: number): string {
  return value > 0 ? `+${formatNumber(value)}` : formatNumber(value);
}

/** A share 0..1 in percent; the space does not break. */
export function formatPercent(share: number): string {
  const percent = 100 * share;
  if (percent === 0) return `0${NO_BREAK}%`;
  if (percent < 0.1) return `<${NO_BREAK}0.1${NO_BREAK}%`;
  return `${percent < 0.95 ? percent.toFixed(1) : percent.toFixed(0)}${NO_BREAK}%`;
}

/** Where in the picture a point lies, x and y 0..1: "upper left", "centre" ... */
export function placeName(x: number, y: number): string {
  const vertical = y < 0.36 ? 'upper' : y > 0.64 ? 'lower' : 'middle';
  const horizontal = x < 0.36 ? 'left' : x > 0.64 ? 'right' : 'centre';
  if (vertical === 'middle') return horizontal === 'centre' ? 'centre' : `${horizontal} side`;
  return `${vertical} ${horizontal}`;
}

/** The answer in one or two sentences: at which block the decision forms. */
export function decisionSentence(flow: FlowMaps): string {
  const strongest = strongestBlock(flow);
  const { half, ninety } = flow.milestones;
  if (strongest === null || half === null || ninety === null)
    return 'No patch speaks for this target: its map is zero in every block.';
  const step = formatPercent(flow.share[strongest] ?? 0);
  return (
    `The decision forms at block ${strongest + 1}, which adds the most (${step} of the map). ` +
    `Half of the map is there by block ${half + 1}, nine tenths by block ${ninety + 1}.`
  );
}

/** The state of one block, for the slider and the live region. */
export function blockSentence(
  { coefficients }: Pick<FlowDocument, 'coefficients'>,
  flow: FlowMaps,
  block: number,
): string {
  const reached = runningShare(flow)[block] ?? 0;
  const blocks = flow.share.length;
  return (
    `Block ${block + 1} of ${blocks}: adds ${formatPercent(flow.share[block] ?? 0)}, ` +
    `${formatPercent(reached)} reached${isApproximate(coefficients, block, blocks) ? ' (approximate)' : ''}`
  );
}

/** The text alternative of a map. */
export function describeFlowMap(map: GridMap, view: FlowView, block: number, blocks: number): string {
  const what =
    view === 'accumulated'
      ? `Accumulated map of blocks 1 to ${block + 1} of ${blocks}`
      : `${view === 'signed' ? 'Signed map' : 'Map'} of block ${block + 1} of ${blocks}`;
  const peak = peakOf(map);
  if (peak === null) return `${what}: the same value everywhere, ${formatNumber(map[0]?.[0] ?? 0)}`;
  const place = placeName(
    (peak.column + 0.5) / (map[0]?.length ?? 1),
    (peak.row + 0.5) / Math.max(1, map.length),
  );
  return (
    `${what}: strongest in the ${place}, row ${peak.row + 1}, column ${peak.column + 1}, ` +
    `with ${formatNumber(peak.value)}`
  );
}

export const VIEW_NAMES: Readonly<Record<FlowView, string>> = {
  accumulated: 'Accumulated',
  block: 'This block',
  signed: 'Signed',
};

export const SCALE_NAMES: Readonly<Record<FlowScale, string>> = {
  common: 'One scale for all blocks',
  own: 'Each block its own scale',
  linear: 'Published rendering: linear',
  sigmoid: 'Published rendering: sigmoid',
};

/** What the numbers on the colour bar are. */
export function scaleNote(view: FlowView, scale: FlowScale): string {
  if (scale === 'linear')
    return 'Levels 0 to 255 of the published linear rendering: early blocks are dim, levels are no units.';
  if (scale === 'sigmoid')
    return 'Levels 0 to 255 of the published sigmoid rendering: every block is stretched to the full range, so blocks cannot be compared.';
  const range =
    scale === 'common' ? 'the same for all blocks' : 'for this block alone: do not compare blocks by colour';
  const what =
    view === 'signed' ? 'Relevance for (red) and against (blue) the target' : 'Relevance for the target';
  return `${what}, before any normalisation; ${range}.`;
}

const COEFFICIENT_NAMES: Readonly<Record<FlowDocument['coefficients'], string>> = {
  gradient: 'gradient coefficients, negative ones set to zero',
  'signed-gradient': 'gradient coefficients with their sign',
  'class-row': 'class-row gradient coefficients (exact in the last two blocks only)',
  direct: 'direct coefficients (LayerNorm scale held fixed, exactly additive)',
};

export function describeCoefficients(coefficients: FlowDocument['coefficients']): string {
  return COEFFICIENT_NAMES[coefficients];
}

/** What each part of the split is, in the order of the sum. */
export const COMPLETENESS_PARTS = [
  { key: 'patches', name: 'Patches', meaning: 'attention to picture patches: what a map can show' },
  { key: 'prefix', name: 'Prefix tokens', meaning: 'attention to class, distillation and register tokens' },
  { key: 'attentionBias', name: 'Attention bias', meaning: 'bias of the attention projections' },
  { key: 'mlp', name: 'MLP', meaning: 'the MLP halves of all blocks' },
  { key: 'embedding', name: 'Embedding', meaning: 'class token and position before the first block' },
  { key: 'normBias', name: 'Norm bias', meaning: 'bias of the last LayerNorm' },
  { key: 'headBias', name: 'Head bias', meaning: 'bias of the head' },
] as const;

/** Below this part of the target a remainder is rounding. */
const ROUNDING = 1e-5;

/** What the sum of parts is a sum of: the target itself, or only its first-order form. */
export function completenessSentence({ value, remainder }: Completeness, y: number): string {
  const map = 'Only the first part can be drawn on a map; the others can be larger.';
  if (Math.abs(remainder) <= ROUNDING * Math.max(Math.abs(y), Math.abs(value)))
    return `With the last LayerNorm's scale held fixed, the target's value is exactly the sum of these parts. ${map}`;
  return (
    `This target is not linear in what the network computes. Split here is its first-order form, gradient times ` +
    `activation, which is ${formatNumber(value)} and exactly the sum of these parts. The rest of the target, ` +
    `${formatSigned(remainder)}, is the remainder: no sum of parts explains it. ${map}`
  );
}

/** Parts that each block has of its own. */
export const BLOCK_PARTS = COMPLETENESS_PARTS.slice(0, 4) as readonly {
  key: 'patches' | 'prefix' | 'attentionBias' | 'mlp';
  name: string;
}[];
