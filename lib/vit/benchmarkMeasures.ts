import type { FloatArray, NativeImage } from '../native/types.js';

/** Uniform numbers from 0 to 1, the same in every trial (Numerical Recipes' linear congruential generator). */
function* uniformNumbers(): Generator<number, never> {
  let state = 1;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

export function noiseImage(width: number, height: number): NativeImage {
  const numbers = uniformNumbers();
  const data = Uint8Array.from({ length: width * height * 3 }, () => numbers.next().value * 256);
  return { data, width, height };
}

/** A normalised input of one image, values from -2 to 2. */
export function noiseTensor(width: number, height: number): FloatArray {
  const numbers = uniformNumbers();
  const data = Float32Array.from({ length: width * height * 3 }, () => numbers.next().value * 4 - 2);
  return { shape: [1, 3, height, width], data };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** CPU milliseconds of this process while `work` runs: those of the work where the process does nothing else. */
export async function cpuMs(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
