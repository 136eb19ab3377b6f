import type { Affine } from '../native/types.js';
import type { Box, Face, Point } from './face.js';

/**
 * Squares, anchors and decoding of BlazeFace (back camera model, 256 x 256). The rules are those of
 * python/kfd_export/face_detection.py, steps 1 to 4, except that a square is resampled by the engine's warp, the same as
 * for the canonical crop: no part of the picture is copied, and positions need no rounding.
 */

/** Side of the network's input in pixels. */
export const INPUT_SIZE = 256;

/** Sides of the two output grids and the anchors a cell has; both anchors of a cell share its centre. */
const ANCHOR_GRIDS = [
  { side: 16, perCell: 2 },
  { side: 8, perCell: 6 },
] as const;

/** Values a row of the network's second output has: centre x, y, width, height, six key points (x, y). */
const ROW_LENGTH = 16;
const KEYPOINT_COUNT = 6;

/** Centres (x, y) in pixels of the input square, in the network's order: 16*16*2 + 8*8*6 = 896. */
export function anchorCentres(): Point[] {
  return ANCHOR_GRIDS.flatMap(({ side, perCell }) => {
    const step = INPUT_SIZE / side;
    return Array.from({ length: side * side * perCell }, (_, index): Point => {
      const cell = Math.floor(index / perCell);
      return [((cell % side) + 0.5) * step, (Math.floor(cell / side) + 0.5) * step];
    });
  });
}

const ANCHORS = anchorCentres();

/** A square of whole picture pixels, or partly beyond the picture, that the network is shown. */
export interface Square {
  /** Upper left corner. */
  x: number;
  y: number;
  side: number;
}

/** The smallest square around a whole picture, the picture in its middle. */
export function wholeSquare(width: number, height: number): Square {
  const side = Math.max(width, height);
  return { x: 0 - Math.floor((side - width) / 2), y: 0 - Math.floor((side - height) / 2), side };
}

/** The square around a face whose side is `zoom` times the longer side of its box. */
export function squareAround([x, y, width, height]: Box, zoom: number): Square {
  const side = Math.ceil(zoom * Math.max(width, height));
  return { x: Math.floor(x + width / 2 - side / 2), y: Math.floor(y + height / 2 - side / 2), side };
}

/** The engine's warp for a square: input pixels to picture pixels; beyond the picture is black. */
export function squareAffine({ x, y, side }: Square): Affine {
  const scale = side / INPUT_SIZE;
  return [scale, 0, x, 0, scale, y];
}

/**
 * Reads the two outputs of the network for one square.
 *
 * @param rawScores (896) logits
 * @param rawBoxes (896 * 16), offsets from the anchor in pixels of the network's input
 * @param threshold rows with a smaller score are left out
 * @returns overlapping candidates in pixels of the picture, in the network's order
 */
export function decodeCandidates(
  rawScores: Float32Array,
  rawBoxes: Float32Array,
  square: Square,
  threshold: number,
): Face[] {
  const scale = square.side / INPUT_SIZE;
  const candidates: Face[] = [];
  ANCHORS.forEach(([anchorX, anchorY], index) => {
    const confidence = 1 / (1 + Math.exp(-Math.min(100, Math.max(-100, rawScores[index] ?? -100))));
    if (confidence < threshold) return;
    const value = (entry: number) => rawBoxes[index * ROW_LENGTH + entry] ?? 0;
    const width = value(2) * scale;
    const height = value(3) * scale;
    if (width <= 0 || height <= 0) return;
    const point = (entry: number): Point => [
      square.x + (anchorX + value(entry)) * scale,
      square.y + (anchorY + value(entry + 1)) * scale,
    ];
    const [centreX, centreY] = point(0);
    candidates.push({
      box: [centreX - width / 2, centreY - height / 2, width, height],
      confidence,
      keypoints: Array.from({ length: KEYPOINT_COUNT }, (_, keypoint) => point(4 + 2 * keypoint)),
    });
  });
  return candidates;
}
