import { KfdError } from '../errors.js';
import type { ModelInfo, NativeFlowPass } from '../native/types.js';
import { checkTarget, isLinear, readTarget, targetName, type FlowTarget } from './target.js';

/**
 * How the channels of a block are weighted (spec/daam.md 1.3, 3.2, 4):
 * `gradient` the full derivative, negative channels left out (the published supervised variant); `signed-gradient` the
 * same with all channels (the published self-supervised variant); `class-row` the derivative with all other tokens held
 * constant, cheap but poor in early blocks; `direct` the derivative with frozen LayerNorm scales, which splits the
 * target exactly.
 */
export const COEFFICIENTS = ['gradient', 'signed-gradient', 'class-row', 'direct'] as const;
export type FlowCoefficients = (typeof COEFFICIENTS)[number];

/** `class`: what the class token took up (the paper). `all`: what every token took up, for what patch tokens decide. */
export const ROWS = ['class', 'all'] as const;
export type FlowRows = (typeof ROWS)[number];

export interface FlowOptions {
  /** A target or its command-line spelling; default `forgery` for detectors, `max` otherwise. */
  target?: FlowTarget | string | undefined;
  /** Several targets at once, instead of `target`. */
  targets?: readonly (FlowTarget | string)[] | undefined;
  /** Default 'gradient'. */
  coefficients?: FlowCoefficients | undefined;
  /** Default 'all' where patch tokens are read by the head or by the target, otherwise 'class'. */
  rows?: FlowRows | undefined;
  /** Also one map a head. Default false. */
  perHead?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Options with every choice made. */
export interface FlowPlan {
  targets: readonly FlowTarget[];
  coefficients: FlowCoefficients;
  rows: FlowRows;
  /** Rows that the exact split needs; undefined where the model has none (attn.norm). */
  completenessRows: FlowRows | undefined;
  perHead: boolean;
}

/** What the model says about itself, as far as a plan depends on it. */
export type PlannedModel = Pick<ModelInfo, 'kind' | 'features'>;

function argumentError(message: string, hint: string): KfdError {
  return new KfdError('ERR_KFD_INVALID_ARGUMENT', message, { hint });
}

function choose<T extends string>(name: string, value: T | undefined, choices: readonly T[], fallback: T): T {
  if (value === undefined) return fallback;
  if (choices.includes(value)) return value;
  throw argumentError(
    `Expected ${name} to be one of ${choices.join(', ')} but received ${JSON.stringify(value)}.`,
    'docs/daam.md says what each of them means.',
  );
}

function headReadsPatches({ features }: PlannedModel): boolean {
  return features.includes('average-pool') || features.includes('no-class-token');
}

function readsPatches(target: FlowTarget, model: PlannedModel): boolean {
  return target.kind === 'forgery' || (model.kind === 'vit' && headReadsPatches(model));
}

/** A vector or bank that came from no file: two of them are two targets. */
function isUnnamed(target: FlowTarget): boolean {
  return ['feature', 'cosine', 'bank'].includes(target.kind) && !('file' in target);
}

async function readTargets(options: FlowOptions, model: PlannedModel): Promise<FlowTarget[]> {
  const { target, targets } = options;
  if (target !== undefined && targets !== undefined) {
    throw argumentError('Expected target or targets but received both.', 'Put all of them into targets.');
  }
  const usual = model.kind === 'kfd' ? 'forgery' : 'max';
  const wanted = targets ?? [target ?? usual];
  if (!Array.isArray(wanted) || wanted.length === 0) {
    throw argumentError(
      'Expected at least one target but received none.',
      'Leave targets out to take the default.',
    );
  }
  const read: FlowTarget[] = [];
  for (const each of wanted as readonly (FlowTarget | string)[])
    read.push(typeof each === 'string' ? await readTarget(each) : checkTarget(each));
  const names = read.filter((each) => !isUnnamed(each)).map(targetName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw argumentError(`Target ${twice} was given twice.`, 'Give each target once.');
  return read;
}

/**
 * Makes every choice that options leave open, and reads the files that targets name.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT and those of readTarget
 */
export async function planFlow(options: FlowOptions, model: PlannedModel): Promise<FlowPlan> {
  const coefficients = choose('coefficients', options.coefficients, COEFFICIENTS, 'gradient');
  const targets = await readTargets(options, model);
  const patchReader = targets.find((target) => readsPatches(target, model));
  const needed: FlowRows = patchReader === undefined ? 'class' : 'all';
  const rows = choose('rows', options.rows, ROWS, needed);
  if (rows === 'class' && model.features.includes('no-class-token')) {
    throw argumentError('The model has no class token, so there are no class rows.', "Take rows 'all'.");
  }
  if (coefficients === 'class-row' && (rows === 'all' || patchReader !== undefined)) {
    const why =
      patchReader === undefined
        ? 'class-row coefficients know the rows of the class token only.'
        : `Target ${targetName(patchReader)} reads patch tokens, which class-row coefficients hold constant.`;
    throw argumentError(why, 'Take other coefficients, for example gradient.');
  }
  if (coefficients === 'direct' && rows === 'class' && patchReader !== undefined) {
    throw argumentError(
      `Target ${targetName(patchReader)} reads patch tokens, so its direct split has nothing in the class rows.`,
      "Take rows 'all'.",
    );
  }
  const completenessRows = model.features.includes('attn-norm') ? undefined : rows === 'all' ? 'all' : needed;
  return { targets, coefficients, rows, completenessRows, perHead: options.perHead ?? false };
}

/** Whether the forward pass must keep what full reverse passes or all rows need. */
export function needsFullFlow({ coefficients, rows, completenessRows }: FlowPlan): boolean {
  return (
    coefficients === 'gradient' ||
    coefficients === 'signed-gradient' ||
    rows === 'all' ||
    completenessRows === 'all'
  );
}

type NativeCoefficients = NativeFlowPass['coefficients'];

/** The engine's kind of reverse pass, and which of its two maps is wanted. */
export function nativeCoefficients(coefficients: FlowCoefficients): {
  kind: NativeCoefficients;
  rectified: boolean;
} {
  if (coefficients === 'signed-gradient') return { kind: 'gradient', rectified: false };
  return { kind: coefficients, rectified: coefficients !== 'direct' };
}

/** What a reader of the maps must know about how they were made. */
export function planNotes({ targets, coefficients, rows, completenessRows }: FlowPlan): string[] {
  const notes: string[] = [];
  if (completenessRows === undefined) {
    notes.push(
      'The model normalises between attention and projection (attn.norm): no exact split of the target over tokens exists.',
    );
  }
  if (coefficients === 'gradient' || coefficients === 'class-row') {
    notes.push(
      'Channels with a negative coefficient are left out, as published. Such maps depend on how the value channels of the ' +
        'network are written down, not only on what it computes; signed-gradient and direct do not.',
    );
  }
  if (coefficients === 'class-row') {
    notes.push(
      'class-row coefficients hold all other tokens constant: exact for the last two blocks, poor in early ones (on a ' +
        'trained DINOv2 ViT-S/14 the median error was 17 % at block 10, 33 % at 8, 51 % at 5 and 74 to 86 % at 1 and 2 of 12). ' +
        'Read the final map, not the first blocks.',
    );
  }
  if (rows === 'class' && targets.some(({ kind }) => kind === 'forgery')) {
    notes.push(
      'The forgery score is decided by patch tokens; the class rows show only what reaches them through the class token. ' +
        'Take rows all for the whole.',
    );
  }
  if (!targets.every(isLinear)) {
    notes.push(
      'A target that is no linear form of the feature (a probability, a cosine, the forgery score) is no sum over tokens: ' +
        'what is split is its first-order form at this image, and the remainder is what no such sum explains.',
    );
  }
  return notes;
}
