import type { RgbImage } from '../image/rgbImage.js';
import { flowColorTable } from './flowColors.js';

/**
 * The overlay of the published pictures (spec/daam.md 1.6), for parity with them: 8-bit levels on the grid, enlarged
 * bilinearly as 8-bit, JET colours, 0.4 colour + 0.8 picture. Against OpenCV: within one level of the map.
 */

const COLOR_WEIGHT = 0.4;
const PICTURE_WEIGHT = 0.8;

interface Sample {
  lower: number;
  upper: number;
  fraction: number;
}

/** Where each of `to` pixel centres lies between `from` cell centres; the rim repeats the outermost cell. */
function samples(from: number, to: number): Sample[] {
  return Array.from({ length: to }, (_, pixel) => {
    const place = Math.min(from - 1, Math.max(0, ((pixel + 0.5) * from) / to - 0.5));
    const lower = Math.floor(place);
    return { lower, upper: Math.min(from - 1, lower + 1), fraction: place - lower };
  });
}

/** Levels of a grid at the picture's size, half-pixel centres, rounded to levels again. */
export function enlargeLevels(
  levels: Uint8Array,
  grid: { width: number; height: number },
  { width, height }: { width: number; height: number },
): Uint8Array {
  const columns = samples(grid.width, width);
  const enlarged = new Uint8Array(width * height);
  samples(grid.height, height).forEach(({ lower: top, upper: bottom, fraction: down }, y) => {
    columns.forEach(({ lower: left, upper: right, fraction: across }, x) => {
      const at = (row: number, column: number): number => levels[row * grid.width + column] ?? 0;
      const above = at(top, left) + across * (at(top, right) - at(top, left));
      const below = at(bottom, left) + across * (at(bottom, right) - at(bottom, left));
      enlarged[y * width + x] = Math.round(above + down * (below - above));
    });
  });
  return enlarged;
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
