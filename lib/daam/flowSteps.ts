import { outputOf } from '../native/engine.js';
import { checkFinite, type PreparedFlow } from './computeFlow.js';
import { positivePart, sum } from './maps.js';
import { nativeCoefficients, type FlowPlan } from './options.js';
import { targetName } from './target.js';
import type { FlowGrid } from './targetFlow.js';

/** What one block says about one target. */
export interface TargetStep {
  /** The command line's spelling of the target. */
  target: string;
  /** The target's value for the image. */
  y: number;
  /** h*w: U, signed. */
  signed: Float32Array;
  /** h*w: max(U, 0). */
  blockMap: Float32Array;
  /** Sum of U over the prefix tokens. */
  prefixMass: number;
  /** h*w: sum of the block maps up to this block; undefined where the last block comes first. */
  accumulated: Float32Array | undefined;
}

/** One block of a flow that is computed step by step. */
export interface FlowStep {
  /** From 0, the first block of the network. */
  block: number;
  blocks: number;
  /** True on the last step, whichever block that is. */
  last: boolean;
  targets: readonly TargetStep[];
}

/** The steps of a prepared flow, in the order in which they are computed. */
export async function* flowSteps(
  flow: PreparedFlow,
  plan: FlowPlan,
  { blocks, prefixTokens, height, width }: FlowGrid,
): AsyncGenerator<FlowStep, void, undefined> {
  const { kind, rectified } = nativeCoefficients(plan.coefficients);
  const sums = plan.targets.map(() => new Float64Array(height * width));
  for await (const { event, y } of flow.steps()) {
    const { data, shape } = outputOf(event, rectified ? 'U_relu' : 'U');
    const tokens = shape.at(-1) ?? 0;
    checkFinite(`relevance in block ${event.block}`, data);
    const targets = plan.targets.map((target, index): TargetStep => {
      const relevance = data.subarray(index * tokens, (index + 1) * tokens);
      const blockMap = positivePart(relevance.subarray(prefixTokens));
      const running = sums[index] ?? new Float64Array();
      blockMap.forEach((value, cell) => (running[cell] = (running[cell] ?? 0) + value));
      return {
        target: targetName(target),
        y: y[index] ?? NaN,
        signed: relevance.slice(prefixTokens),
        blockMap,
        prefixMass: sum(relevance.subarray(0, prefixTokens)),
        accumulated: kind === 'direct' ? Float32Array.from(running) : undefined,
      };
    });
    yield { block: event.block, blocks, last: event.last, targets };
  }
}
