import { applyAffine, cropCorners, invertAffine } from '../face/alignment.js';
import type { Box, Point } from '../face/face.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { FaceMap } from '../kfd/detection.js';
import type { Affine } from '../native/types.js';
import { colorOffset, colorTable, type ColorMapName } from './colorMap.js';

/**
 * Localisation maps painted over pictures. The opacity grows with the value, so that what the map says nothing about
 * stays visible; colours always span 0 to 1, in every picture alike.
 */

const OPACITY_AT_ZERO = 0.15;
const OPACITY_AT_ONE = 0.75;

/** Bilinear sample of a map at continuous coordinates, clamped at its edge. */
function sample(
  { values, width, height }: Pick<FaceMap, 'values' | 'width' | 'height'>,
  x: number,
  y: number,
): number {
  const u = Math.min(width - 1, Math.max(0, x - 0.5));
  const v = Math.min(height - 1, Math.max(0, y - 0.5));
  const column = Math.min(width - 2, Math.floor(u));
  const row = Math.min(height - 2, Math.floor(v));
  const at = row * width + column;
  const [fx, fy] = [u - column, v - row];
  const top = (values[at] ?? 0) * (1 - fx) + (values[at + 1] ?? 0) * fx;
  const bottom = (values[at + width] ?? 0) * (1 - fx) + (values[at + width + 1] ?? 0) * fx;
  return top * (1 - fy) + bottom * fy;
}

function blend(data: Uint8Array, offset: number, value: number, table: Uint8Array): void {
  const opacity = OPACITY_AT_ZERO + (OPACITY_AT_ONE - OPACITY_AT_ZERO) * value;
  const color = colorOffset(value);
  for (let channel = 0; channel < 3; channel += 1) {
    const under = data[offset + channel] ?? 0;
    data[offset + channel] = Math.round(under + opacity * ((table[color + channel] ?? 0) - under));
  }
}

// not `slice`: on a Buffer that would be a view of the same memory
const copyOf = (image: RgbImage): RgbImage => ({ ...image, data: new Uint8Array(image.data) });

/** The map over the aligned crop, pixel by pixel. Both have the same size. */
export function overlayOnCrop(pixels: RgbImage, map: FaceMap, colors: ColorMapName = 'inferno'): RgbImage {
  const result = copyOf(pixels);
  const table = colorTable(colors);
  map.values.forEach((value, index) => blend(result.data, index * 3, value, table));
  return result;
}

/** The map alone as an 8-bit grey picture: round(255 * value). */
export function greyMap({ values, width, height }: FaceMap): RgbImage {
  const data = new Uint8Array(width * height * 3);
  values.forEach((value, index) => data.fill(Math.round(255 * value), index * 3, index * 3 + 3));
  return { data, width, height, format: 'raw' };
}

/** The pixels that a quadrilateral can touch. */
function boundingBox(corners: readonly Point[], { width, height }: RgbImage) {
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  return {
    left: Math.max(0, Math.floor(Math.min(...xs))),
    right: Math.min(width, Math.ceil(Math.max(...xs))),
    top: Math.max(0, Math.floor(Math.min(...ys))),
    bottom: Math.min(height, Math.ceil(Math.max(...ys))),
  };
}

/**
 * Maps carried back from their crops onto the photograph they came from.
 *
 * @param photograph the upright picture, possibly reduced
 * @param scale its pixels per pixel of the picture that the crops refer to (1 when it was not reduced)
 */
export function overlayOnPhotograph(
  photograph: RgbImage,
  maps: readonly FaceMap[],
  scale: number,
  colors: ColorMapName = 'inferno',
): RgbImage {
  const result = copyOf(photograph);
  const table = colorTable(colors);
  for (const map of maps) {
    if (map.crop === undefined) continue;
    const toPhotograph = map.crop.map((entry) => entry * scale) as unknown as Affine;
    const toMap = invertAffine(toPhotograph);
    const box = boundingBox(cropCorners(toPhotograph, map.width), photograph);
    for (let y = box.top; y < box.bottom; y += 1) {
      for (let x = box.left; x < box.right; x += 1) {
        const [u, v] = applyAffine(toMap, [x + 0.5, y + 0.5]);
        if (u < 0 || v < 0 || u >= map.width || v >= map.height) continue;
        blend(result.data, (y * photograph.width + x) * 3, sample(map, u, v), table);
      }
    }
  }
  return result;
}

/** A mask in picture pixels (any channel above 127 = forged) as seen in the crop of a face: black and white. */
export function maskInCrop(mask: RgbImage, { crop, width, height }: FaceMap): RgbImage {
  const data = new Uint8Array(width * height * 3);
  if (crop !== undefined) {
    for (let index = 0; index < width * height; index += 1) {
      const [x, y] = applyAffine(crop, [(index % width) + 0.5, Math.floor(index / width) + 0.5]);
      const [column, row] = [Math.floor(x), Math.floor(y)];
      const inside = column >= 0 && row >= 0 && column < mask.width && row < mask.height;
      const forged = inside && (mask.data[(row * mask.width + column) * 3] ?? 0) > 127;
      data.fill(forged ? 255 : 0, index * 3, index * 3 + 3);
    }
  }
  return { data, width, height, format: 'raw' };
}

function paintPixel({ data, width, height }: RgbImage, x: number, y: number, grey: number): void {
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  data.fill(grey, (y * width + x) * 3, (y * width + x) * 3 + 3);
}

/** A two-pixel white frame with a black edge on both sides: visible on any ground. */
function drawBox(image: RgbImage, [x, y, width, height]: Box): void {
  const edges: readonly (readonly [number, number])[] = [
    [-2, 0],
    [1, 0],
    [-1, 255],
    [0, 255],
  ];
  for (const [inset, grey] of edges) {
    const [left, top] = [Math.round(x) + inset, Math.round(y) + inset];
    const [right, bottom] = [Math.round(x + width) - inset - 1, Math.round(y + height) - inset - 1];
    for (let column = left; column <= right; column += 1) {
      paintPixel(image, column, top, grey);
      paintPixel(image, column, bottom, grey);
    }
    for (let row = top; row <= bottom; row += 1) {
      paintPixel(image, left, row, grey);
      paintPixel(image, right, row, grey);
    }
  }
}

function drawDot(image: RgbImage, [x, y]: Point): void {
  for (let dy = -3; dy <= 3; dy += 1) {
    for (let dx = -3; dx <= 3; dx += 1) {
      const distance = dx * dx + dy * dy;
      if (distance <= 10) paintPixel(image, Math.floor(x) + dx, Math.floor(y) + dy, distance <= 4 ? 255 : 0);
    }
  }
}

/** Boxes and key points drawn into a copy; positions are multiplied by `scale`. */
export function drawFaces(
  image: RgbImage,
  faces: readonly { box: Box; keypoints: readonly Point[] }[],
  scale: number,
): RgbImage {
  const result = copyOf(image);
  for (const { box, keypoints } of faces) {
    drawBox(result, [box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale]);
    for (const [x, y] of keypoints) drawDot(result, [x * scale, y * scale]);
  }
  return result;
}
