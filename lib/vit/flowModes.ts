import { KfdError } from '../errors.js';
import type { EngineModel } from '../native/engine.js';
import type { ModelInfo, NativeFlowPass, NativeFlowTarget } from '../native/types.js';
import { cpuMs, median, noiseTensor } from './benchmarkMeasures.js';

/** What is timed: a plain forward pass, and forward with one flow pass of each kind. */
export const FLOW_MODES = ['forward', 'direct', 'classRow', 'gradient', 'allRows', 'twoTargets'] as const;
export type FlowMode = (typeof FLOW_MODES)[number];

export interface FlowRatios {
  /** Forward with a flow pass over the plain forward pass, in CPU time: 2 is twice the time. */
  flow_direct_vs_forward: number;
  flow_class_row_vs_forward: number;
  flow_gradient_vs_forward: number;
  flow_all_rows_vs_forward: number;
  /** What a second target adds to a gradient pass, in plain forward passes. */
  flow_extra_target_vs_forward: number;
}

export interface FlowTimes {
  /** Median CPU milliseconds of one image at one thread. */
  medianCpuMs: Record<FlowMode, number>;
  /** What each pass explains. A detector's score reads patch tokens, so its class-row modes explain the class token. */
  targets: { classToken: string; gradient: string; second: string };
  rounds: number;
}

interface NamedTarget {
  name: string;
  target: NativeFlowTarget;
}

function logit(index: number, { classes }: ModelInfo): NamedTarget {
  const weights = Float32Array.from({ length: classes }, (_, c) => (c === index ? 1 : 0));
  return { name: `logit:${index}`, target: { kind: 'logits', weights } };
}

function targetsFor(info: ModelInfo): {
  classToken: NamedTarget;
  gradient: NamedTarget;
  second: NamedTarget;
} {
  if (info.kind === 'kfd') {
    const classToken: NamedTarget = { name: 'class-token-forgery', target: { kind: 'class-token-forgery' } };
    return { classToken, gradient: { name: 'forgery', target: { kind: 'forgery' } }, second: classToken };
  }
  return { classToken: logit(0, info), gradient: logit(0, info), second: logit(1, info) };
}

function requireClassRows(info: ModelInfo): void {
  if (info.execution === 'plain-forward' || info.execution === 'black-box-blocks') {
    throw new KfdError(
      'ERR_KFD_MODEL_UNSUPPORTED',
      `Flows need blocks that the engine runs itself, not ${info.execution}.`,
    );
  }
  const pooled = info.features.find((feature) => feature === 'average-pool' || feature === 'no-class-token');
  if (pooled === undefined) return;
  throw new KfdError(
    'ERR_KFD_MODEL_UNSUPPORTED',
    `Expected a head that reads a class token, but this model has ${pooled}.`,
    {
      hint: 'The comparison of class-row and direct passes has no meaning here.',
    },
  );
}

/**
 * The modes as functions that work once and give their CPU milliseconds; the process must do nothing else meanwhile.
 * Passes that need no more keep no more: `direct` and `classRow` run without what a gradient pass needs.
 * @throws KfdError ERR_KFD_MODEL_UNSUPPORTED (no class token, or blocks that the engine cannot walk)
 */
export function flowModes(model: EngineModel): {
  modes: Record<FlowMode, () => Promise<number>>;
  targets: FlowTimes['targets'];
} {
  requireClassRows(model.info);
  const { classToken, gradient, second } = targetsFor(model.info);
  const tensor = noiseTensor(model.info.inputWidth, model.info.inputHeight);
  const flow = (pass: NativeFlowPass) => () =>
    cpuMs(async () => {
      using kept = model.flow({ tensor }, { full: pass.coefficients === 'gradient' });
      await kept.forward();
      await kept.begin(pass);
      for await (const event of kept.events()) if (event.last) break;
    });
  return {
    modes: {
      forward: () => cpuMs(() => model.run({ tensor })),
      direct: flow({ coefficients: 'direct', targets: [classToken.target] }),
      classRow: flow({ coefficients: 'class-row', targets: [classToken.target] }),
      gradient: flow({ coefficients: 'gradient', targets: [gradient.target] }),
      allRows: flow({ coefficients: 'gradient', allRows: true, targets: [gradient.target] }),
      twoTargets: flow({ coefficients: 'gradient', targets: [gradient.target, second.target] }),
    },
    targets: { classToken: classToken.name, gradient: gradient.name, second: second.name },
  };
}

export function flowRatios(ms: Record<FlowMode, number>): FlowRatios {
  return {
    flow_direct_vs_forward: ms.direct / ms.forward,
    flow_class_row_vs_forward: ms.classRow / ms.forward,
    flow_gradient_vs_forward: ms.gradient / ms.forward,
    flow_all_rows_vs_forward: ms.allRows / ms.forward,
    flow_extra_target_vs_forward: (ms.twoTargets - ms.gradient) / ms.forward,
  };
}

/** Collects rounds: every mode once a round, in turn forwards and backwards so that no mode always follows another. */
export class FlowRounds {
  private readonly times: Record<FlowMode, number[]> = {
    forward: [],
    direct: [],
    classRow: [],
    gradient: [],
    allRows: [],
    twoTargets: [],
  };
  private readonly work: ReturnType<typeof flowModes>;
  private count = 0;

  constructor(model: EngineModel) {
    this.work = flowModes(model);
  }

  /** Runs a round whose times do not count: weights are packed and graphs made on first use. */
  async warmUp(): Promise<void> {
    for (const mode of FLOW_MODES) await this.work.modes[mode]();
  }

  async round(): Promise<void> {
    const order = this.count % 2 === 0 ? FLOW_MODES : [...FLOW_MODES].reverse();
    for (const mode of order) this.times[mode].push(await this.work.modes[mode]());
    this.count += 1;
  }

  result(): FlowTimes {
    const medians = FLOW_MODES.map((mode) => [mode, median(this.times[mode])] as const);
    return {
      medianCpuMs: Object.fromEntries(medians) as Record<FlowMode, number>,
      targets: this.work.targets,
      rounds: this.count,
    };
  }
}
