import { KfdError } from '../errors.js';
import type { ModelKind, NativeFlowTarget } from '../native/types.js';
import { neighbourWeights } from './memoryBank.js';
import { describeTarget, targetName, type FlowTarget } from './target.js';

/** What the forward pass gave for one image. */
export interface ForwardOutputs {
  kind: ModelKind;
  /** [C]; undefined for detectors. */
  logits: Float32Array | undefined;
  /** [D], what the head reads. */
  feature: Float32Array;
}

/** A target for one image: its derivative, and its value. */
export interface ResolvedTarget {
  native: NativeFlowTarget;
  /** The target's own value; undefined where the engine computes it (`forgery`, `class-token-forgery`, linear forms). */
  value: number | undefined;
  /** The class that `max` came to. */
  index: number | undefined;
  description: string;
}

/** softmax in float64, shifted by the maximum. */
function softmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, index) => (value > (values[best] ?? -Infinity) ? index : best), 0);
}

/** One hot at `index`, minus one hot at `other`. */
function contrast(length: number, index: number, other?: number): Float32Array {
  const weights = new Float32Array(length);
  weights[index] = 1;
  if (other !== undefined) weights[other] = -1;
  return weights;
}

/** Cosine of f and v, and its derivative (I - f^ f^T) v^ / |f| with respect to f; f^ = f/|f|, v^ = v/|v|. */
function cosineOf(f: Float32Array, v: Float32Array): { value: number; weights: Float32Array } {
  const norm = (x: Float32Array) =>
    Math.max(Math.sqrt(x.reduce((sum, value) => sum + value * value, 0)), 1e-12);
  const [lengthF, lengthV] = [norm(f), norm(v)];
  const value = f.reduce((sum, entry, k) => sum + entry * (v[k] ?? 0), 0) / (lengthF * lengthV);
  const weights = Float32Array.from(
    f,
    (entry, k) => ((v[k] ?? 0) / lengthV - (value * entry) / lengthF) / lengthF,
  );
  return { value, weights };
}

function mismatch(target: FlowTarget, problem: string, hint: string): KfdError {
  return new KfdError('ERR_KFD_INVALID_ARGUMENT', `Target ${targetName(target)}: ${problem}`, { hint });
}

function requireLogits(target: FlowTarget, { logits }: ForwardOutputs): Float32Array {
  if (logits !== undefined) return logits;
  throw mismatch(
    target,
    'the model is a detector and has no class logits.',
    'Take forgery, class-token-forgery, feature:W.npy, cosine:W.npy or bank:BANK.npz.',
  );
}

function checkIndex(target: FlowTarget, index: number, classes: number): void {
  if (Number.isInteger(index) && index >= 0 && index < classes) return;
  throw mismatch(
    target,
    `expected a class from 0 to ${classes - 1} but received ${index}.`,
    'Classes count from 0; `kfd-native model info FILE` shows how many there are.',
  );
}

function requireLength(target: FlowTarget, weights: Float32Array, widths: readonly number[]): void {
  if (widths.includes(weights.length) && weights.every(Number.isFinite)) return;
  throw mismatch(
    target,
    `expected a finite vector of ${[...new Set(widths)].join(' or ')} values but received ${weights.length}.`,
    'It must be as long as the feature that the head reads (or, for cosine, as the output of the head).',
  );
}

type Seed = Omit<ResolvedTarget, 'description'>;

function logitSeed(target: FlowTarget, outputs: ForwardOutputs): Seed {
  const logits = requireLogits(target, outputs);
  const seed = (weights: Float32Array, value: number, index?: number): Seed => ({
    native: { kind: 'logits', weights },
    value,
    index,
  });
  if (target.kind === 'max') {
    const index = indexOfLargest(logits);
    return seed(contrast(logits.length, index), logits[index] ?? NaN, index);
  }
  if (!('index' in target)) throw new TypeError(`${target.kind} is not made of logits`);
  const { index } = target;
  checkIndex(target, index, logits.length);
  if (target.kind === 'logit') return seed(contrast(logits.length, index), logits[index] ?? NaN);
  if (target.kind === 'difference') {
    checkIndex(target, target.other, logits.length);
    const value = (logits[index] ?? NaN) - (logits[target.other] ?? NaN);
    return seed(contrast(logits.length, index, target.other), value);
  }
  const p = softmax(logits);
  const chosen = p[index] ?? NaN;
  const logarithmic = Float32Array.from(p, (entry, j) => (j === index ? 1 : 0) - entry); // d log p_c = e_c - p
  if (target.kind === 'log-probability') return seed(logarithmic, Math.log(chosen));
  return seed(
    Float32Array.from(logarithmic, (entry) => chosen * entry),
    chosen,
  ); // dp_c = p_c (e_c - p), I12
}

function featureSeed(target: FlowTarget, outputs: ForwardOutputs): Seed {
  const { feature, logits } = outputs;
  if (target.kind === 'feature') {
    requireLength(target, target.weights, [feature.length]);
    return { native: { kind: 'feature', weights: target.weights }, value: undefined, index: undefined };
  }
  if (target.kind === 'bank') {
    const { weights } = neighbourWeights(target.bank, feature);
    return { native: { kind: 'feature', weights }, value: undefined, index: undefined };
  }
  if (target.kind !== 'cosine') throw new TypeError(`${target.kind} is not made of the feature`);
  const widths = logits === undefined ? [feature.length] : [logits.length, feature.length];
  requireLength(target, target.vector, widths);
  const onOutput = logits?.length === target.vector.length;
  const { value, weights } = cosineOf(onOutput ? logits : feature, target.vector);
  return { native: { kind: onOutput ? 'logits' : 'feature', weights }, value, index: undefined };
}

function seedOf(target: FlowTarget, outputs: ForwardOutputs): Seed {
  switch (target.kind) {
    case 'forgery':
    case 'class-token-forgery':
      if (outputs.kind !== 'kfd') {
        throw mismatch(target, 'the model is no forgery detector.', 'Take max, logit:K, feature:W.npy ...');
      }
      return { native: { kind: target.kind }, value: undefined, index: undefined };
    case 'feature':
    case 'cosine':
    case 'bank':
      return featureSeed(target, outputs);
    default:
      return logitSeed(target, outputs);
  }
}

/**
 * The derivative of a target with respect to what the forward pass gave.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT where target and model do not fit, ERR_KFD_MODEL_MISMATCH for a bank
 */
export function resolveTarget(target: FlowTarget, outputs: ForwardOutputs): ResolvedTarget {
  const seed = seedOf(target, outputs);
  const chosen = seed.index === undefined ? '' : `, class ${seed.index}`;
  return { ...seed, description: `${describeTarget(target)}${chosen}` };
}
