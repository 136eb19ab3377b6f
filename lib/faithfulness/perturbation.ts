import { KfdError } from '../errors.js';
import { checkFinite, checkSameSize, type Picture, type Plane } from './plane.js';
import type { Random } from './random.js';

/**
 * Pixels taken away or added in the order of their relevance.
 *
 * Deletion and insertion: Petsiuk et al., RISE (2018): from the picture to its mean colour, and from the blurred picture
 * to the picture, most relevant pixels first; the area under the score. Positive and negative perturbation: Chefer et al.,
 * Transformer interpretability beyond attention visualization (2021): 10 % to 90 % of the pixels made black, most
 * (positive) or least (negative) relevant first; the area under the share of images that keep their decision.
 */

/**
 * Pixel indices, most relevant first; equal values in random order, so that no corner of a flat map is preferred.
 * @throws KfdError ERR_KFD_NOT_FINITE
 */
export function pixelOrder(map: Plane, random: Random): Uint32Array {
  checkFinite('the map', map.data);
  const { data } = map;
  const shuffled = random.permutation(data.length);
  const place = new Uint32Array(data.length);
  shuffled.forEach((pixel, i) => (place[pixel] = i));
  return shuffled.sort((a, b) => (data[b] ?? 0) - (data[a] ?? 0) || (place[a] ?? 0) - (place[b] ?? 0));
}

/** Least relevant first. */
export function reversed(order: Uint32Array): Uint32Array {
  return order.toReversed();
}

/** `from`, with the first round(fraction * pixels) pixels of `order` taken from `to`. */
export function mix(from: Picture, to: Picture, order: Uint32Array, fraction: number): Picture {
  checkSameSize('two pictures', from, to);
  const data = from.data.slice();
  for (const pixel of order.subarray(0, Math.round(fraction * order.length))) {
    data.set(to.data.subarray(pixel * 3, pixel * 3 + 3), pixel * 3);
  }
  return { ...from, data };
}

/** One colour all over; black, or the mean that normalisation turns into zeros. */
export function flatPicture(
  { width, height }: Picture,
  colour: readonly [number, number, number] = [0, 0, 0],
): Picture {
  return {
    width,
    height,
    data: Float32Array.from({ length: width * height * 3 }, (_, i) => colour[i % 3] ?? 0),
  };
}

/** Kernel and deviation of the blurred start of insertion, for an input of 224 pixels. */
const BLUR_RADIUS = 5;
const BLUR_SIGMA = 5;

/** One direction of the blur; beyond the edge lies the colour 0. */
function blurAlong(
  source: Float32Array,
  lines: number,
  length: number,
  lineStep: number,
  step: number,
): Float32Array {
  const weights = Array.from({ length: 2 * BLUR_RADIUS + 1 }, (_, i) =>
    Math.exp(-((i - BLUR_RADIUS) ** 2) / (2 * BLUR_SIGMA ** 2)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const result = new Float32Array(source.length);
  for (let line = 0; line < lines; line += 1) {
    for (let i = 0; i < length; i += 1) {
      const [first, last] = [Math.max(0, i - BLUR_RADIUS), Math.min(length - 1, i + BLUR_RADIUS)];
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (let j = first; j <= last; j += 1) {
          sum += (weights[j - i + BLUR_RADIUS] ?? 0) * (source[line * lineStep + j * step + channel] ?? 0);
        }
        result[line * lineStep + i * step + channel] = sum / total;
      }
    }
  }
  return result;
}

/**
 * The blurred start of insertion: Gaussian of 11 x 11 pixels and deviation 5, the figures of RISE's evaluation, the
 * mean colour beyond the edge.
 * @param mean colour that normalisation turns into zeros
 */
export function blurred(picture: Picture, mean: readonly [number, number, number]): Picture {
  const { width, height, data } = picture;
  const centred = data.map((value, i) => value - (mean[i % 3] ?? 0));
  const rows = blurAlong(centred, height, width, width * 3, 3);
  const both = blurAlong(rows, width, height, 3, width * 3);
  return { width, height, data: both.map((value, i) => value + (mean[i % 3] ?? 0)) };
}

/**
 * Area under a curve by trapezoids, divided by the width of its range: 1 for a curve that is 1 everywhere.
 * @param at ascending positions of the values
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT
 */
export function areaUnder(values: readonly number[], at: readonly number[]): number {
  if (values.length !== at.length || values.length < 2) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected two lists of one length, at least 2, but received ${values.length} and ${at.length} entries.`,
    );
  }
  let area = 0;
  for (let i = 1; i < values.length; i += 1) {
    const width = (at[i] ?? NaN) - (at[i - 1] ?? NaN);
    area += (width * ((values[i] ?? NaN) + (values[i - 1] ?? NaN))) / 2;
  }
  return area / ((at.at(-1) ?? NaN) - (at[0] ?? NaN));
}

/** The fractions 1/n .. (n-1)/n between nothing and everything. */
export function innerFractions(steps: number): number[] {
  return Array.from({ length: steps - 1 }, (_, i) => (i + 1) / steps);
}
