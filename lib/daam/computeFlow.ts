import { KfdError } from '../errors.js';
import type { RgbImage } from '../image/rgbImage.js';
import { outputOf } from '../native/engine.js';
import type {
  BlockEvent,
  FloatArray,
  ModelInfo,
  NamedArrays,
  NativeFlowPass,
  NativeFlowTarget,
  RunResult,
} from '../native/types.js';
import { AttentionFlow, type FlowFrame } from './attentionFlow.js';
import { splitCompletely } from './completeness.js';
import { sum } from './maps.js';
import { nativeCoefficients, planNotes, type FlowPlan, type FlowRows } from './options.js';
import { TargetFlow, type FlowGrid, type TargetRecord } from './targetFlow.js';
import { resolveTarget, type ResolvedTarget } from './targetWeights.js';

/** What a flow is computed on: an EngineFlow, whose class says what each call does. */
export interface FlowSource {
  forward(options: SignalOption): Promise<RunResult>;
  begin(pass: NativeFlowPass, options: SignalOption): Promise<RunResult>;
  events(options: SignalOption): AsyncIterable<BlockEvent>;
}

interface SignalOption {
  signal?: AbortSignal | undefined;
}

/** What is known about the image and the model beforehand. */
export interface FlowContext extends Pick<FlowFrame, 'input' | 'crop' | 'model'> {
  info: ModelInfo;
  picture?: RgbImage | undefined;
}

/** @throws KfdError ERR_KFD_NOT_FINITE */
export function checkFinite(name: string, values: Float32Array): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new KfdError(
    'ERR_KFD_NOT_FINITE',
    `The network's ${name} has the value ${values[at]} at position ${at}; expected finite numbers.`,
    { hint: 'Check the input tensor for NaN and infinity, then the weights of the model.' },
  );
}

/** Entry `index` of the first axis. */
function row({ shape, data }: FloatArray, index: number): Float32Array {
  const size = data.length / (shape[0] ?? 1);
  return data.slice(index * size, (index + 1) * size);
}

/** A finished pass: its arrays a block, the first block first. */
export interface FlowPassRecord {
  y: FloatArray;
  blocks: readonly NamedArrays[];
  /** Of the event that came last. */
  last: NamedArrays;
}

export function gridOf(info: ModelInfo): FlowGrid {
  return {
    blocks: info.depth,
    prefixTokens: info.prefixTokens,
    height: info.gridHeight,
    width: info.gridWidth,
  };
}

/** One image's forward pass, ready to be explained. */
export class PreparedFlow {
  private constructor(
    private readonly source: FlowSource,
    private readonly context: FlowContext,
    private readonly plan: FlowPlan,
    private readonly signal: AbortSignal | undefined,
    /** The model's outputs: `logits`, or `p` and `map`; and `feature`. */
    readonly forward: RunResult,
    private readonly resolved: readonly ResolvedTarget[],
  ) {}

  /**
   * Runs the forward pass of one image and turns the targets into derivatives.
   *
   * @throws KfdError ERR_KFD_NOT_FINITE, those of resolveTarget and of EngineFlow
   */
  static async run(
    source: FlowSource,
    context: FlowContext,
    plan: FlowPlan,
    signal: AbortSignal | undefined,
  ): Promise<PreparedFlow> {
    const forward = await source.forward({ signal });
    const { kind } = context.info;
    const feature = outputOf(forward, 'feature').data;
    const output = outputOf(forward, kind === 'kfd' ? 'p' : 'logits').data;
    checkFinite('feature', feature);
    checkFinite('output', output);
    const outputs = { kind, feature, logits: kind === 'kfd' ? undefined : output };
    const resolved = plan.targets.map((target) => resolveTarget(target, outputs));
    return new PreparedFlow(source, context, plan, signal, forward, resolved);
  }

  private get nativeTargets(): NativeFlowTarget[] {
    return this.resolved.map(({ native }) => native);
  }

  private pass(
    coefficients: NativeFlowPass['coefficients'],
    rows: FlowRows,
    perHead: boolean,
  ): NativeFlowPass {
    return { coefficients, allRows: rows === 'all', perHead, targets: this.nativeTargets };
  }

  /** The pass that gives the maps, block by block: the last block first, `direct` the first first. */
  async *steps(): AsyncGenerator<{ event: BlockEvent; y: readonly number[] }, void, undefined> {
    const { coefficients, rows, perHead } = this.plan;
    const pass = this.pass(nativeCoefficients(coefficients).kind, rows, perHead);
    const y = this.values(outputOf(await this.source.begin(pass, { signal: this.signal }), 'y'));
    for await (const event of this.source.events({ signal: this.signal })) yield { event, y };
  }

  /** The value of each target: its own where it is known, else what the engine says. */
  private values({ data }: FloatArray): number[] {
    return this.resolved.map(({ value }, index) => value ?? data[index] ?? NaN);
  }

  private async finish(pass: NativeFlowPass): Promise<FlowPassRecord> {
    const started = await this.source.begin(pass, { signal: this.signal });
    const blocks: NamedArrays[] = [];
    let last: NamedArrays = {};
    for await (const event of this.source.events({ signal: this.signal })) {
      blocks[event.block] = event.arrays;
      if (event.last) last = event.arrays;
    }
    return { y: outputOf(started, 'y'), blocks, last };
  }

  /**
   * Runs the passes: that of the maps, and the exact split over the same forward pass.
   *
   * @param verdict what a detector made of the same forward pass
   * @throws KfdError ERR_KFD_NOT_FINITE and those of EngineFlow
   */
  async compute(verdict?: FlowFrame['verdict']): Promise<AttentionFlow> {
    const started = performance.now();
    const { coefficients, rows, perHead, completenessRows } = this.plan;
    const { kind } = nativeCoefficients(coefficients);
    const maps = await this.finish(this.pass(kind, rows, perHead));
    const isSplit = kind === 'direct' && completenessRows === rows;
    const split =
      completenessRows === undefined
        ? undefined
        : isSplit
          ? maps
          : await this.finish(this.pass('direct', completenessRows, false));
    const y = this.values(maps.y);
    const targets = this.resolved.map(
      (_, index) =>
        new TargetFlow(gridOf(this.context.info), this.record(index, y[index] ?? NaN, maps, split)),
    );
    return this.assemble(targets, performance.now() - started, verdict);
  }

  private record(
    index: number,
    y: number,
    { blocks }: FlowPassRecord,
    split: FlowPassRecord | undefined,
  ): TargetRecord {
    const { rectified } = nativeCoefficients(this.plan.coefficients);
    const of = (name: string) => blocks.map((arrays) => row(outputOf({ arrays }, name), index));
    const hasClassToken = !this.context.info.features.includes('no-class-token');
    const unrectified = of('U');
    const totals = of('total').map(([total = NaN]) => total);
    const relevance = rectified ? of('U_relu') : unrectified;
    relevance.forEach((values, block) => checkFinite(`relevance in block ${block}`, values));
    const { description, index: chosen } = this.resolved[index] ?? { description: '', index: undefined };
    const target = this.plan.targets[index] ?? { kind: 'max' };
    return {
      target,
      description,
      y,
      index: chosen,
      coefficients: hasClassToken ? of('C') : undefined,
      relevance,
      heads: this.plan.perHead
        ? of(rectified ? 'U_relu_heads' : 'U_heads').map((heads) => this.splitHeads(heads))
        : undefined,
      identityError: identityError(unrectified, totals),
      completeness:
        split === undefined ? null : splitCompletely(split, index, y, this.context.info.prefixTokens),
    };
  }

  private splitHeads(values: Float32Array): Float32Array[] {
    const size = values.length / this.context.info.heads;
    return Array.from({ length: this.context.info.heads }, (_, head) =>
      values.slice(head * size, (head + 1) * size),
    );
  }

  private assemble(targets: TargetFlow[], flowMs: number, verdict: FlowFrame['verdict']): AttentionFlow {
    const { input, crop, model, info, picture } = this.context;
    const { coefficients, rows } = this.plan;
    const frame: FlowFrame = {
      input,
      crop,
      network: { width: info.inputWidth, height: info.inputHeight },
      model,
      coefficients,
      rows,
      notes: planNotes(this.plan),
      ...(verdict === undefined ? {} : { verdict }),
      timing: { forwardMs: this.forward.timing.forwardMs, flowMs },
    };
    return new AttentionFlow(frame, gridOf(info), targets, picture);
  }
}

/** Largest |sum_n U - <C, T>| over the blocks, relative to the largest |<C, T>| or |U| (I15). */
function identityError(relevance: readonly Float32Array[], totals: readonly number[]): number {
  let [error, scale] = [0, 0];
  relevance.forEach((values, block) => {
    const total = totals[block] ?? NaN;
    error = Math.max(error, Math.abs(sum(values) - total));
    scale = values.reduce(
      (largest, value) => Math.max(largest, Math.abs(value)),
      Math.max(scale, Math.abs(total)),
    );
  });
  return scale === 0 ? 0 : error / scale;
}
