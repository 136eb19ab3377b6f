import { outputOf } from '../native/engine.js';
import type { NamedArrays } from '../native/types.js';
import type { Completeness } from './flowDocument.js';
import { sum } from './maps.js';

/** The arrays of a finished `direct` pass, the first block first. */
export interface DirectPass {
  blocks: readonly NamedArrays[];
  /** The last event's arrays, which also hold what belongs to no block. */
  last: NamedArrays;
}

/**
 * The exact split of a target's linear form (spec/daam.md 3.2, I4): patches + prefix tokens + attention bias + MLP over
 * all blocks, plus embedding, norm bias and head bias, is the value. Every part is reported, because biases can outweigh
 * the patches.
 *
 * @param target its place among the pass's targets
 * @param y the target's own value, which differs from the linear form's where the target is not linear
 * @param prefixTokens tokens before the first patch
 */
export function splitCompletely(
  { blocks: events, last }: DirectPass,
  target: number,
  y: number,
  prefixTokens: number,
): Completeness {
  const entry = (arrays: NamedArrays, name: string) => outputOf({ arrays }, name).data[target] ?? NaN;
  const blocks = events.map((arrays) => {
    const { data, shape } = outputOf({ arrays }, 'U');
    const tokens = shape.at(-1) ?? 0;
    const relevance = data.subarray(target * tokens, (target + 1) * tokens);
    return {
      patches: sum(relevance.subarray(prefixTokens)),
      prefix: sum(relevance.subarray(0, prefixTokens)),
      attentionBias: entry(arrays, 'attention_bias'),
      mlp: entry(arrays, 'mlp'),
    };
  });
  const total = (part: keyof (typeof blocks)[number]) => sum(blocks.map((block) => block[part]));
  const parts = {
    patches: total('patches'),
    prefix: total('prefix'),
    attentionBias: total('attentionBias'),
    mlp: total('mlp'),
    embedding: entry(last, 'embedding'),
    normBias: entry(last, 'norm_bias'),
    headBias: entry(last, 'head_bias'),
  };
  const value = entry(last, 'value');
  const whole = sum(Object.values(parts));
  return { value, ...parts, sum: whole, residual: value - whole, remainder: y - value, blocks };
}
