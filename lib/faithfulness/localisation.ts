import { KfdError } from '../errors.js';
import { checkFinite, checkSameSize, scaleToUnit, type Mask, type Plane } from './plane.js';

/**
 * Does a map lie where the forgery (or the object) is? All of it at the resolution of the mask: enlarge the map first.
 * A constant map gives what chance gives: the mask's area share, and 0.5 for the AUROC. Only the IoU of a constant map
 * is 0, since nothing of it lies above its mean.
 */
export interface Localisation {
  /** Pointing game: 1 where the highest pixel lies in the mask, 0 elsewhere. */
  pointing: number;
  /** Intersection over union of the mask and what lies above the map's mean. */
  iou: number;
  /** Area under the ROC curve of the pixels, mask against rest. */
  auroc: number;
  /** Share of the positive relevance that lies in the mask. */
  mass: number;
}

/** Share of the pixels that lie in the mask: what chance gives for `pointing` and `mass`. */
export function maskShare({ data }: Mask): number {
  let inside = 0;
  for (const value of data) inside += value;
  return inside / data.length;
}

/**
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT for another size, and for a mask that is empty or full; ERR_KFD_NOT_FINITE
 */
function checkMask(map: Plane, mask: Mask): void {
  checkSameSize('map and mask', map, mask);
  checkFinite('the map', map.data);
  const share = maskShare(mask);
  if (share > 0 && share < 1) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected a mask with pixels inside and outside but it is ${share === 0 ? 'empty' : 'full'}.`,
    { hint: 'Localisation is defined only where there is something to find and something else.' },
  );
}

/**
 * Pointing game (Zhang et al., Top-down neural attention by excitation backprop, 2016) without its tolerance of 15
 * pixels. Where several pixels share the maximum: the share of them that lies in the mask.
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_NOT_FINITE
 */
export function pointingGame(map: Plane, mask: Mask): number {
  checkMask(map, mask);
  let most = -Infinity;
  for (const value of map.data) most = Math.max(most, value);
  let [peaks, hits] = [0, 0];
  map.data.forEach((value, i) => {
    if (value !== most) return;
    peaks += 1;
    hits += mask.data[i] ?? 0;
  });
  return hits / peaks;
}

/**
 * Foreground IoU of the segmentation test (Chefer et al., Transformer interpretability beyond attention visualization,
 * 2021): min-max, then foreground = above the mean of the map.
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_NOT_FINITE
 */
export function iouAtMean(map: Plane, mask: Mask): number {
  checkMask(map, mask);
  const { data } = scaleToUnit(map);
  let sum = 0;
  for (const value of data) sum += value;
  const mean = sum / data.length;
  let [both, either] = [0, 0];
  data.forEach((value, i) => {
    const [above, inside] = [value > mean, mask.data[i] === 1];
    if (above && inside) both += 1;
    if (above || inside) either += 1;
  });
  return both / either;
}

/** The bits of a float32 as a number that sorts as the float does; both zeros give the same. */
function sortKeys(data: Float32Array): Float64Array {
  const bits = new Uint32Array(data.map((value) => value + 0).buffer);
  return Float64Array.from(bits, (word) => (word < 0x80000000 ? word + 0x80000000 : 0xffffffff - word));
}

/**
 * Area under the ROC curve of pixels by their relevance, mask against rest; ties count half (Mann and Whitney).
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_NOT_FINITE
 */
export function pixelAuroc(map: Plane, mask: Mask): number {
  checkMask(map, mask);
  // key and label in one number: a typed array of plain numbers sorts fast
  const sorted = sortKeys(map.data)
    .map((key, i) => key * 2 + (mask.data[i] ?? 0))
    .sort();
  let [rankSum, positives, start] = [0, 0, 0];
  while (start < sorted.length) {
    const key = Math.floor((sorted[start] ?? 0) / 2);
    let [end, inTie] = [start, 0];
    for (; end < sorted.length && Math.floor((sorted[end] ?? 0) / 2) === key; end += 1) {
      inTie += (sorted[end] ?? 0) % 2;
    }
    rankSum += (inTie * (start + 1 + end)) / 2; // ranks start + 1 .. end share their mean
    positives += inTie;
    start = end;
  }
  const negatives = sorted.length - positives;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/**
 * Share of the positive relevance that lies in the mask (the measure of the grid pointing game, with a mask in place of
 * the grid's cell). A map without positive values has none anywhere and gets what a constant map gets.
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_NOT_FINITE
 */
export function massInside(map: Plane, mask: Mask): number {
  checkMask(map, mask);
  let [inside, total] = [0, 0];
  map.data.forEach((value, i) => {
    if (value <= 0) return;
    total += value;
    if (mask.data[i] === 1) inside += value;
  });
  return total > 0 ? inside / total : maskShare(mask);
}

/** @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_NOT_FINITE */
export function localisation(map: Plane, mask: Mask): Localisation {
  return {
    pointing: pointingGame(map, mask),
    iou: iouAtMean(map, mask),
    auroc: pixelAuroc(map, mask),
    mass: massInside(map, mask),
  };
}
