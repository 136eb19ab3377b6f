import path from 'node:path';
import { readNpy } from '../data/npz.js';
import { KfdError } from '../errors.js';
import { loadMemoryBank, type MemoryBank } from './memoryBank.js';

/**
 * What is explained: a scalar Y of one image (spec/daam.md 1.3, 1.7, 6). `index` and `other` count classes from 0;
 * `file` is where a vector or bank came from, and only names it.
 */
export type FlowTarget =
  /** The largest logit. */
  | { kind: 'max' }
  /** One logit, before any softmax. */
  | { kind: 'logit'; index: number }
  /** logit[index] - logit[other]: what speaks for one class and against the other. */
  | { kind: 'difference'; index: number; other: number }
  /** softmax(logits)[index] */
  | { kind: 'probability'; index: number }
  /** log softmax(logits)[index] */
  | { kind: 'log-probability'; index: number }
  /** <weights, f>, f the feature that the head reads. */
  | { kind: 'feature'; weights: Float32Array; file?: string }
  /** Cosine of the head's output to a vector as long as it; else of the feature. */
  | { kind: 'cosine'; vector: Float32Array; file?: string }
  /** <w, f>, w by the nearest neighbours of f in a memory bank (self-supervised networks, 1.7). */
  | { kind: 'bank'; bank: MemoryBank; file?: string }
  /** A detector's probability of fake. */
  | { kind: 'forgery' }
  /** logit scale * <E_fake - E_real, c>, c a detector's unit class token in the space of its class embeddings. */
  | { kind: 'class-token-forgery' };

export type TargetKind = FlowTarget['kind'];

/** How targets are spelled on the command line, for messages. */
export const TARGET_SPELLINGS =
  'max, logit:K, difference:A,B, probability:K, log-probability:K, feature:W.npy, cosine:W.npy, bank:BANK.npz, ' +
  'forgery, class-token-forgery';

function spellingError(text: string, problem: string): KfdError {
  return new KfdError('ERR_KFD_INVALID_ARGUMENT', `Target ${JSON.stringify(text)}: ${problem}`, {
    hint: `Targets are ${TARGET_SPELLINGS}; classes count from 0.`,
  });
}

function parseIndices(text: string, argument: string, count: number): number[] {
  const indices = argument.split(',').map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : NaN));
  if (indices.length === count && indices.every((index) => Number.isSafeInteger(index))) return indices;
  const expected = count === 1 ? 'one class index' : `${count} class indices`;
  throw spellingError(text, `expected ${expected} after the colon but received "${argument}".`);
}

async function readVector(file: string): Promise<Float32Array> {
  const { shape, data } = await readNpy(file);
  const isVector = shape.length === 1 || (shape.length === 2 && shape[0] === 1);
  if (isVector && data.length > 0 && data.every(Number.isFinite)) return data;
  const problem = isVector ? 'a value that is not finite, or none' : `shape (${shape.join(', ')})`;
  throw new KfdError(
    'ERR_KFD_TENSOR_FORMAT',
    `${file}: expected one finite vector but received ${problem}.`,
    {
      hint: 'Save it with numpy.save as float32 of shape (D,).',
    },
  );
}

/**
 * Parses the command line's spelling of a target and reads the file that it names.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT, and for files ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ,
 *   ERR_KFD_TENSOR_FORMAT
 */
export async function readTarget(text: string): Promise<FlowTarget> {
  const colon = text.indexOf(':');
  const kind = colon < 0 ? text : text.slice(0, colon);
  const argument = colon < 0 ? undefined : text.slice(colon + 1);
  const needed = (what: string): string => {
    if (argument !== undefined && argument !== '') return argument;
    throw spellingError(text, `expected ${what} after a colon.`);
  };
  switch (kind) {
    case 'max':
    case 'forgery':
    case 'class-token-forgery':
      if (argument !== undefined) throw spellingError(text, `${kind} takes nothing after it.`);
      return { kind };
    case 'logit':
    case 'probability':
    case 'log-probability': {
      const [index = 0] = parseIndices(text, needed('a class index'), 1);
      return { kind, index };
    }
    case 'difference': {
      const [index = 0, other = 0] = parseIndices(text, needed('two class indices'), 2);
      if (index === other) throw spellingError(text, 'the difference of a class to itself is always 0.');
      return { kind, index, other };
    }
    case 'feature': {
      const file = needed('the path of an .npy file');
      return { kind, weights: await readVector(file), file };
    }
    case 'cosine': {
      const file = needed('the path of an .npy file');
      return { kind, vector: await readVector(file), file };
    }
    case 'bank': {
      const file = needed('the path of a memory bank (.npz)');
      return { kind, bank: await loadMemoryBank(file), file };
    }
    default:
      throw spellingError(text, `"${kind}" is not known.`);
  }
}

const FIELDS: Readonly<Record<TargetKind, readonly string[]>> = {
  max: [],
  logit: ['index'],
  difference: ['index', 'other'],
  probability: ['index'],
  'log-probability': ['index'],
  feature: ['weights'],
  cosine: ['vector'],
  bank: ['bank'],
  forgery: [],
  'class-token-forgery': [],
};

/**
 * Checks a target that came as an object, which JavaScript may have got wrong.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT
 */
export function checkTarget(target: FlowTarget): FlowTarget {
  const given = target as Readonly<Record<string, unknown>> | null;
  const fields = FIELDS[given?.['kind'] as TargetKind] as readonly string[] | undefined;
  const missing = fields?.find((field) => given?.[field] === undefined);
  if (fields !== undefined && missing === undefined) return target;
  throw spellingError(
    String(given?.['kind']),
    missing === undefined ? 'the kind is not known.' : `the field ${missing} is missing.`,
  );
}

/** The command line's spelling. Vectors and banks that came from no file are called by their kind alone. */
export function targetName(target: FlowTarget): string {
  switch (target.kind) {
    case 'logit':
    case 'probability':
    case 'log-probability':
      return `${target.kind}:${target.index}`;
    case 'difference':
      return `difference:${target.index},${target.other}`;
    case 'feature':
    case 'cosine':
    case 'bank':
      return 'file' in target ? `${target.kind}:${target.file}` : target.kind;
    default:
      return target.kind;
  }
}

/** The target as a part of a file name: letters, digits, dots and dashes. */
export function targetSlug(target: FlowTarget): string {
  const file = 'file' in target ? target.file : undefined;
  const name = file === undefined ? targetName(target) : `${target.kind}-${path.parse(file).name}`;
  return name.replace(/[^A-Za-z0-9.-]+/g, '-').slice(0, 60);
}

/** Whether Y is a linear form of the feature, so that a sum over tokens can be all of it. */
export function isLinear({ kind }: FlowTarget): boolean {
  return ['max', 'logit', 'difference', 'feature', 'bank'].includes(kind);
}

/** One sentence for people. */
export function describeTarget(target: FlowTarget): string {
  switch (target.kind) {
    case 'max':
      return 'the largest logit';
    case 'logit':
      return `logit of class ${target.index}`;
    case 'difference':
      return `logit of class ${target.index} minus logit of class ${target.other}`;
    case 'probability':
      return `softmax probability of class ${target.index}`;
    case 'log-probability':
      return `logarithm of the softmax probability of class ${target.index}`;
    case 'feature':
      return 'weighted sum of the feature';
    case 'cosine':
      return 'cosine to a given vector';
    case 'bank':
      return 'feature weighted by its nearest neighbours in a memory bank';
    case 'forgery':
      return 'probability that the face is forged';
    case 'class-token-forgery':
      return 'how far the class token leans to the forged class embedding';
  }
}
