import { KfdError } from '../errors.js';
import type { Picture } from './plane.js';
import type { Random } from './random.js';

/**
 * ROAD, remove and debias: Rong et al., A consistent and efficient evaluation strategy for attribution methods (2022).
 * Removed pixels become weighted means of their neighbours, plus noise, so that the hole's outline gives little away.
 */

/** Offsets and weights of the neighbours: 1/6 beside and below, 1/12 across. */
const NEIGHBOURS = [
  [-1, -1, 1 / 12],
  [0, -1, 1 / 6],
  [1, -1, 1 / 12],
  [-1, 0, 1 / 6],
  [1, 0, 1 / 6],
  [-1, 1, 1 / 12],
  [0, 1, 1 / 6],
  [1, 1, 1 / 12],
] as const;

export interface ImputationOptions {
  /** Largest residual of the linear system, in grey levels; default 0.001, an error below 0.1 where 90 % of 224 x 224 pixels are gone. */
  tolerance?: number;
  /** Standard deviation of the noise in units of the whole range 0..255; default 0.01. */
  noise?: number;
}

/** A x = b for the removed pixels, A symmetric and positive definite: diagonal minus the weights of removed neighbours. */
interface LinearSystem {
  /** Pixel of each unknown. */
  pixels: Uint32Array;
  /** Per unknown 8 entries: the unknown that is this neighbour, or -1. */
  neighbours: Int32Array;
  diagonal: Float64Array;
}

function buildSystem(width: number, height: number, removed: Uint8Array): LinearSystem {
  const unknownOf = new Int32Array(width * height).fill(-1);
  const list: number[] = [];
  removed.forEach((flag, pixel) => {
    if (flag === 1) unknownOf[pixel] = list.push(pixel) - 1;
  });
  const pixels = Uint32Array.from(list);
  const neighbours = new Int32Array(pixels.length * 8).fill(-1);
  const diagonal = new Float64Array(pixels.length);
  pixels.forEach((pixel, row) => {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    NEIGHBOURS.forEach(([dx, dy, weight], k) => {
      const [nx, ny] = [x + dx, y + dy];
      if (nx < 0 || ny < 0 || nx >= width || ny >= height) return; // the weights of those that are there count
      diagonal[row] = (diagonal[row] ?? 0) + weight;
      neighbours[row * 8 + k] = unknownOf[ny * width + nx] ?? -1;
    });
  });
  return { pixels, neighbours, diagonal };
}

/** Weighted sum of the neighbours that were kept, one channel. */
function rightHandSide(
  { pixels, neighbours }: LinearSystem,
  { data, width, height }: Picture,
  channel: number,
): Float64Array {
  return Float64Array.from(pixels, (pixel, row) => {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    let sum = 0;
    NEIGHBOURS.forEach(([dx, dy, weight], k) => {
      const [nx, ny] = [x + dx, y + dy];
      if (nx < 0 || ny < 0 || nx >= width || ny >= height || neighbours[row * 8 + k] !== -1) return;
      sum += weight * (data[(ny * width + nx) * 3 + channel] ?? 0);
    });
    return sum;
  });
}

const WEIGHTS = Float64Array.from(NEIGHBOURS, ([, , weight]) => weight);

/** result = A x */
function multiply({ neighbours, diagonal }: LinearSystem, x: Float64Array, result: Float64Array): void {
  for (let row = 0; row < x.length; row += 1) {
    let sum = (diagonal[row] ?? 0) * (x[row] ?? 0);
    for (let k = 0; k < 8; k += 1) {
      const other = neighbours[row * 8 + k] ?? -1;
      if (other >= 0) sum -= (WEIGHTS[k] ?? 0) * (x[other] ?? 0);
    }
    result[row] = sum;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function largest(values: Float64Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** Conjugate gradients from `start` (Hestenes and Stiefel 1952); at most as many steps as there are unknowns, and some. */
function conjugateGradients(
  system: LinearSystem,
  b: Float64Array,
  start: number,
  tolerance: number,
): Float64Array {
  const x = new Float64Array(b.length).fill(start);
  const product = new Float64Array(b.length);
  multiply(system, x, product);
  const residual = b.map((value, i) => value - (product[i] ?? 0));
  const direction = residual.slice();
  let squared = dot(residual, residual);
  const mostSteps = b.length + 100;
  for (let step = 0; largest(residual) > tolerance; step += 1) {
    if (step === mostSteps) {
      throw new KfdError(
        'ERR_KFD_INTERNAL',
        `The imputation has not reached ${tolerance} grey levels after ${mostSteps} steps.`,
      );
    }
    multiply(system, direction, product);
    const length = squared / dot(direction, product);
    for (let i = 0; i < x.length; i += 1) {
      x[i] = (x[i] ?? 0) + length * (direction[i] ?? 0);
      residual[i] = (residual[i] ?? 0) - length * (product[i] ?? 0);
    }
    const before = squared;
    squared = dot(residual, residual);
    const turn = squared / before;
    for (let i = 0; i < x.length; i += 1) direction[i] = (residual[i] ?? 0) + turn * (direction[i] ?? 0);
  }
  return x;
}

/**
 * Noisy linear imputation: every removed pixel is the weighted mean of its eight neighbours (1/6 beside, 1/12 across;
 * at the edge of those that exist), then gets Gaussian noise.
 *
 * @param removed 1 a pixel to be replaced, row-major
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT when nothing is left to impute from
 */
export function imputeNoisyLinear(
  picture: Picture,
  removed: Uint8Array,
  random: Random,
  { tolerance = 0.001, noise = 0.01 }: ImputationOptions = {},
): Picture {
  const { width, height } = picture;
  if (removed.length !== width * height || !removed.includes(0)) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected ${width * height} flags with at least one pixel kept but received ${removed.length} flags` +
        (removed.includes(0) ? '.' : ', none of them 0.'),
    );
  }
  const system = buildSystem(width, height, removed);
  const data = picture.data.slice();
  for (let channel = 0; channel < 3; channel += 1) {
    const b = rightHandSide(system, picture, channel);
    const solved = conjugateGradients(system, b, 127.5, tolerance);
    system.pixels.forEach((pixel, row) => {
      data[pixel * 3 + channel] = (solved[row] ?? 0) + 255 * noise * random.gaussian();
    });
  }
  return { ...picture, data };
}

/** The flags of the first round(fraction * pixels) pixels of an order. */
export function removedPixels(order: Uint32Array, fraction: number): Uint8Array {
  const removed = new Uint8Array(order.length);
  for (const pixel of order.subarray(0, Math.round(fraction * order.length))) removed[pixel] = 1;
  return removed;
}

/** ROAD combined: half of what is lost without the most relevant pixels beyond what is lost without the least relevant. */
export function roadCombined(mostRelevantFirst: number, leastRelevantFirst: number): number {
  return (leastRelevantFirst - mostRelevantFirst) / 2;
}
