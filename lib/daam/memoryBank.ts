import { parseNpy, parseNpyTexts, type TextArray } from '../data/npy.js';
import { readNpzMembers, writeNpz } from '../data/npz.js';
import { KfdError } from '../errors.js';
import type { FloatArray } from '../native/types.js';

/**
 * Training features of a network without a head, and what they tell about the feature of a new image: the
 * dimension-wise importance of the self-supervised variant (spec/daam.md 1.7, after the weighted k-NN vote of DINO).
 */

export const BANK_NEIGHBOURS = 20;
export const BANK_TEMPERATURE = 0.07;

/** Rows of a bank may be this far from unit length: float32 and half precision rounding, nothing else. */
const NORM_TOLERANCE = 2e-3;

export interface MemoryBank {
  /** [M, D] rows of unit length. */
  features: FloatArray;
  /** [M] indices into `names`. */
  labels: Int32Array;
  names: readonly string[];
  /** The network that computed the features. */
  model: { name: string; sha256: string };
}

export interface Neighbours {
  /** [D] in 0..1, smallest 0 and largest 1; all ones where every dimension agrees equally. */
  weights: Float32Array;
  /** The label that won the vote. */
  label: number;
  /** Its neighbours among the k nearest, nearest first. */
  indices: readonly number[];
  /** Mean cosine similarity to them. */
  similarity: number;
}

function dot(a: Float32Array, b: Float32Array | Float64Array, offset: number): number {
  let sum = 0;
  for (let k = 0; k < b.length; k += 1) sum += (a[offset + k] ?? 0) * (b[k] ?? 0);
  return sum;
}

function unit(feature: Float32Array): Float64Array {
  const norm = Math.max(Math.sqrt(dot(feature, feature, 0)), 1e-12);
  return Float64Array.from(feature, (value) => value / norm);
}

/** Weighted vote of the nearest rows; the label with the larger vote, the smaller label where they are equal. */
function vote(nearest: readonly { index: number; similarity: number }[], labels: Int32Array): number {
  const votes = new Map<number, number>();
  const largest = nearest[0]?.similarity ?? 0; // subtracted, so that exp cannot overflow
  for (const { index, similarity } of nearest) {
    const label = labels[index] ?? 0;
    votes.set(label, (votes.get(label) ?? 0) + Math.exp((similarity - largest) / BANK_TEMPERATURE));
  }
  const ranked = [...votes].sort(([a, votesA], [b, votesB]) => votesB - votesA || a - b);
  return ranked[0]?.[0] ?? 0;
}

function scaleToUnitRange(values: Float64Array): Float32Array {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return Float32Array.from(values, (value) => (high > low ? (value - low) / (high - low) : 1));
}

/**
 * The weight of each dimension of `feature`: how much it adds to the cosine with those of the k = 20 nearest rows that
 * carry the label which wins the vote exp(s/0.07), scaled to 0..1 (1.7). A smaller bank uses all its rows.
 *
 * @param feature [D], not normalised
 * @throws KfdError ERR_KFD_MODEL_MISMATCH when the bank has another width
 */
export function neighbourWeights(bank: MemoryBank, feature: Float32Array): Neighbours {
  const [rows = 0, width = 0] = bank.features.shape;
  if (width !== feature.length) {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `The memory bank has features of width ${width} but the model's have ${feature.length}.`,
      { hint: 'Build the bank with this model: kfd-native daam-bank FOLDER --model FILE --out BANK.npz' },
    );
  }
  const direction = unit(feature);
  const nearest = Array.from({ length: rows }, (_, index) => ({
    index,
    similarity: dot(bank.features.data, direction, index * width),
  }))
    .sort((a, b) => b.similarity - a.similarity || a.index - b.index)
    .slice(0, BANK_NEIGHBOURS);
  const label = vote(nearest, bank.labels);
  const agreeing = nearest.filter(({ index }) => bank.labels[index] === label);
  const products = new Float64Array(width);
  for (const { index } of agreeing) {
    for (let k = 0; k < width; k += 1) {
      products[k] =
        (products[k] ?? 0) +
        ((direction[k] ?? 0) * (bank.features.data[index * width + k] ?? 0)) / agreeing.length;
    }
  }
  return {
    // dividing by |mean similarity| first, as published, changes nothing after the scaling
    weights: scaleToUnitRange(products),
    label,
    indices: agreeing.map(({ index }) => index),
    similarity: agreeing.reduce((sum, { similarity }) => sum + similarity, 0) / agreeing.length,
  };
}

/** A row of the bank under construction. */
export interface BankRow {
  /** [D], any length but zero. */
  feature: Float32Array;
  name: string;
}

/**
 * Puts a bank together: rows are brought to unit length, names sorted and numbered.
 *
 * @throws KfdError ERR_KFD_NO_INPUT without rows, ERR_KFD_NOT_FINITE for a feature that is not finite or zero
 */
export function createMemoryBank(rows: readonly BankRow[], model: MemoryBank['model']): MemoryBank {
  const width = rows[0]?.feature.length ?? 0;
  if (width === 0) {
    throw new KfdError('ERR_KFD_NO_INPUT', 'A memory bank needs at least one image.', {
      hint: 'Give a folder of images, or of one sub-folder a label.',
    });
  }
  const names = [...new Set(rows.map(({ name }) => name))].sort();
  const numbers = new Map(names.map((name, index) => [name, index]));
  const data = new Float32Array(rows.length * width);
  rows.forEach(({ feature, name }, index) => {
    const direction = unit(feature);
    if (!direction.every(Number.isFinite) || direction.every((value) => value === 0)) {
      throw new KfdError(
        'ERR_KFD_NOT_FINITE',
        `The feature of image ${index + 1} (${name}) has no direction.`,
        {
          hint: 'Check the model and the image; `kfd-native model info FILE` shows the model.',
        },
      );
    }
    data.set(direction, index * width);
  });
  const labels = Int32Array.from(rows, ({ name }) => numbers.get(name) ?? 0);
  return { features: { shape: [rows.length, width], data }, labels, names, model };
}

/** Writes `features` [M,D], `labels` [M], `names` [K], `model_name`, `model_sha256`: an .npz that NumPy reads. */
export async function saveMemoryBank(file: string, bank: MemoryBank): Promise<void> {
  const text = (value: string): TextArray => ({ shape: [1], data: [value] });
  await writeNpz(file, {
    features: bank.features,
    labels: { shape: [bank.labels.length], data: Float32Array.from(bank.labels) },
    names: { shape: [bank.names.length], data: bank.names },
    model_name: text(bank.model.name),
    model_sha256: text(bank.model.sha256),
  });
}

/** The problem with a bank's arrays, or undefined. */
function bankProblem(features: FloatArray, labels: FloatArray, names: readonly string[]): string | undefined {
  const [rows = 0, width = 0] = features.shape;
  if (features.shape.length !== 2 || rows < 1 || width < 1) {
    return `expected features of shape (M, D) but received (${features.shape.join(', ')})`;
  }
  if (labels.data.length !== rows) return `expected ${rows} labels but received ${labels.data.length}`;
  const isLabel = (label: number) => Number.isInteger(label) && label >= 0 && label < names.length;
  const wrong = labels.data.find((label) => !isLabel(label));
  if (wrong !== undefined) return `expected labels from 0 to ${names.length - 1} but received ${wrong}`;
  for (let row = 0; row < rows; row += 1) {
    const values = features.data.subarray(row * width, (row + 1) * width);
    const norm = Math.sqrt(dot(values, values, 0));
    if (!(Math.abs(norm - 1) <= NORM_TOLERANCE)) {
      return `expected rows of unit length but row ${row} has length ${norm.toPrecision(4)}`;
    }
  }
  return undefined;
}

/**
 * Reads what {@link saveMemoryBank} wrote, or the same arrays written by NumPy (labels as float32).
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ, ERR_KFD_TENSOR_FORMAT
 */
export async function loadMemoryBank(file: string): Promise<MemoryBank> {
  const members = await readNpzMembers(file);
  const member = (key: string): Uint8Array => {
    const bytes = members.get(key);
    if (bytes !== undefined) return bytes;
    throw new KfdError(
      'ERR_KFD_TENSOR_FORMAT',
      `${file}: expected a memory bank with an array '${key}' but found ${[...members.keys()].join(', ') || 'nothing'}.`,
      { hint: 'kfd-native daam-bank FOLDER --model FILE --out BANK.npz writes one.' },
    );
  };
  const features = parseNpy(member('features'), `${file}: features`);
  const labels = parseNpy(member('labels'), `${file}: labels`);
  const names = parseNpyTexts(member('names'), `${file}: names`).data;
  const text = (key: string) => parseNpyTexts(member(key), `${file}: ${key}`).data[0] ?? '';
  const problem = bankProblem(features, labels, names);
  if (problem !== undefined) {
    throw new KfdError('ERR_KFD_TENSOR_FORMAT', `${file}: ${problem}.`, {
      hint: 'kfd-native daam-bank FOLDER --model FILE --out BANK.npz writes one.',
    });
  }
  return {
    features,
    labels: Int32Array.from(labels.data),
    names,
    model: { name: text('model_name'), sha256: text('model_sha256') },
  };
}

/**
 * Features of another network mean nothing here.
 *
 * @param sha256 of the model in use; null where it is not known, which cannot be checked and is refused as well
 * @throws KfdError ERR_KFD_MODEL_MISMATCH
 */
export function checkBankModel(bank: MemoryBank, sha256: string | null): void {
  if (bank.model.sha256 === sha256) return;
  throw new KfdError(
    'ERR_KFD_MODEL_MISMATCH',
    `The memory bank was built with ${bank.model.name} (SHA-256 ${bank.model.sha256}), expected the model in use (${sha256 ?? 'of unknown SHA-256'}).`,
    { hint: 'Build the bank with this model: kfd-native daam-bank FOLDER --model FILE --out BANK.npz' },
  );
}
