import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';
import type { FloatArray, InputSpec, NativeImage } from '../../lib/native/types.js';

/**
 * Reads the cases that PyTorch wrote (format: python/oracles/case_writer.py): a folder a case, with an index.txt.
 * A missing folder is an error, not a skipped test.
 */
export interface ReferenceCase {
  name: string;
  models: Map<string, string>;
  settings: Map<string, string>;
  arrays: Map<string, FloatArray>;
  bytes: Map<string, { shape: number[]; data: Uint8Array }>;
}

export function referenceFolder(): string {
  const folder = process.env['KFD_REFERENCE'] ?? path.join(packageRoot(), 'build', 'reference');
  if (!existsSync(folder)) {
    throw new Error(
      `No reference cases at ${folder}: npm test writes them, or, in python/: python -m oracles --out ${folder}`,
    );
  }
  return folder;
}

export function readCase(name: string): ReferenceCase {
  const folder = path.join(referenceFolder(), name);
  const found: ReferenceCase = {
    name,
    models: new Map(),
    settings: new Map(),
    arrays: new Map(),
    bytes: new Map(),
  };
  for (const line of readFileSync(path.join(folder, 'index.txt'), 'utf8').trim().split('\n')) {
    const [kind = '', key = '', value = '', ...dimensions] = line.split(' ');
    if (kind === 'model') found.models.set(key, path.join(folder, value));
    if (kind === 'set') found.settings.set(key, value);
    if (kind !== 'f32' && kind !== 'u8') continue;
    const shape = dimensions.map(Number);
    const data = new Uint8Array(readFileSync(path.join(folder, value))); // a copy: offset 0, so floats are aligned
    if (kind === 'u8') found.bytes.set(key, { shape, data });
    else found.arrays.set(key, { shape, data: new Float32Array(data.buffer) });
  }
  return found;
}

export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} is missing`);
  return value;
}

export const modelOf = (found: ReferenceCase, key = 'scripted'): string =>
  present(found.models.get(key), `model ${key} of ${found.name}`);
export const arrayOf = (found: ReferenceCase, key: string): FloatArray =>
  present(found.arrays.get(key), `array ${key} of ${found.name}`);

/** The case's input size, and normalisation that maps bytes to -1..1. */
export function inputOf(found: ReferenceCase): InputSpec {
  const size = (key: string): number => Number(present(found.settings.get(key), `${key} of ${found.name}`));
  const fit = (found.settings.get('fit') ?? 'stretch') as InputSpec['fit'];
  return { width: size('width'), height: size('height'), fit, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
}

/** Largest difference between two arrays; infinite where the shapes differ or a value is not a number. */
export function largestDifference(actual: FloatArray | undefined, expected: FloatArray): number {
  if (actual?.shape.join() !== expected.shape.join()) return Infinity;
  let difference = 0;
  for (const [i, value] of expected.data.entries()) {
    const error = Math.abs((actual.data[i] ?? NaN) - value);
    if (Number.isNaN(error)) return Infinity;
    difference = Math.max(difference, error);
  }
  return difference;
}

/** Largest difference over largest reference value; infinite where the shapes differ. */
export function relativeError(actual: FloatArray | undefined, expected: FloatArray): number {
  const largest = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largestDifference(actual, expected) / largest;
}

/** A grey ramp, enough where only the path of the pixels matters. */
export function rampImage(width: number, height: number): NativeImage {
  return { data: Uint8Array.from({ length: width * height * 3 }, (_, i) => i % 251), width, height };
}

/** A batch so large that one block takes long enough to be interrupted. */
export function slowTensor(batch: number, size = 48): FloatArray {
  return { shape: [batch, 3, size, size], data: new Float32Array(batch * 3 * size * size).fill(0.25) };
}
