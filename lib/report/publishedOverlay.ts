import { enlarge } from '../faithfulness/plane.js';
import type { RgbImage } from '../image/rgbImage.js';
import { flowColorTable } from './flowColors.js';

/**
 * The overlay of the published pictures (spec/daam.md 1.6), for parity with them: 8-bit levels on the grid, enlarged
 * bilinearly as 8-bit, JET colours, 0.4 colour + 0.8 picture. Against OpenCV: within one level of the map.
 */

const COLOR_WEIGHT = 0.4;
const PICTURE_WEIGHT = 0.8;

/** Levels of a grid at the picture's size, half-pixel centres, rounded to levels again. */
export function enlargeLevels(
  levels: Uint8Array,
  grid: { width: number; height: number },
  { width, height }: { width: number; height: number },
): Uint8Array {
  const { data } = enlarge({ ...grid, data: Float32Array.from(levels) }, width, height);
  return Uint8Array.from(data, Math.round);
}

/** @param levels h*w levels of one rendered map (`renderLevels`) */
export function publishedOverlay(
  levels: Uint8Array,
  grid: { width: number; height: number },
  picture: RgbImage,
): RgbImage {
  const table = flowColorTable('jet');
  const data = new Uint8Array(picture.data.length);
  enlargeLevels(levels, grid, picture).forEach((level, pixel) => {
    for (let channel = 0; channel < 3; channel += 1) {
      const color = COLOR_WEIGHT * (table[3 * level + channel] ?? 0);
      const under = PICTURE_WEIGHT * (picture.data[3 * pixel + channel] ?? 0);
      data[3 * pixel + channel] = Math.min(255, Math.round(color + under));
    }
  });
  return { data, width: picture.width, height: picture.height, format: 'raw' };
}
