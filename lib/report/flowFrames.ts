import type { FlowDocument, FlowMaps } from '../daam/flowDocument.js';
import { renderLevels } from '../daam/rendering.js';
import { KfdError } from '../errors.js';
import { decodeImage } from '../image/decode.js';
import type { RgbImage } from '../image/rgbImage.js';
import { flowColorTable, type FlowColors } from './flowColors.js';
import type { FlowPicture } from './flowPage.js';
import { publishedOverlay } from './publishedOverlay.js';
import { checkFlowDocument, paintMap, scaleMap, type FlowScale } from './flowScale.js';

/** Accumulated maps painted over the picture, one frame a block: what PNG and GIF files are made of. */

export interface FlowPictureOptions {
  /** Default inferno. */
  colormap?: Exclude<FlowColors, 'diverging'>;
  /** Default common, one scale for all blocks. With jet, which blends as published: default and `common` are sigmoid. */
  scale?: FlowScale;
  /** Which of the document's flows, from 0; default 0. */
  flow?: number;
}

/** Of the whole overlay; it also fades where the map is low. */
const OPACITY = 0.75;

/** The flow that the options name, after a look at the document's shapes. */
export function chosenFlow(document: FlowDocument, { flow: index = 0 }: FlowPictureOptions): FlowMaps {
  const problem = checkFlowDocument(document);
  if (problem !== null)
    throw new KfdError('ERR_KFD_INVALID_ARGUMENT', `The flow cannot be drawn: ${problem}.`);
  const flow = document.flows[index];
  if (flow !== undefined) return flow;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `flow: expected an index below ${document.flows.length} but received ${index}.`,
  );
}

/** The picture, enlarged or reduced bilinearly so that its longer side has `side` pixels. */
export async function pictureAt(picture: FlowPicture, side: number): Promise<RgbImage> {
  const image = await decodeImage(picture.png);
  const factor = side / Math.max(image.width, image.height);
  const width = Math.max(1, Math.round(image.width * factor));
  const height = Math.max(1, Math.round(image.height * factor));
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    const v = Math.min(image.height - 1, Math.max(0, (y + 0.5) / factor - 0.5));
    const [top, bottom] = [Math.floor(v), Math.min(image.height - 1, Math.floor(v) + 1)];
    for (let x = 0; x < width; x += 1) {
      const u = Math.min(image.width - 1, Math.max(0, (x + 0.5) / factor - 0.5));
      const [left, right] = [Math.floor(u), Math.min(image.width - 1, Math.floor(u) + 1)];
      for (let channel = 0; channel < 3; channel += 1) {
        const at = (row: number, column: number) =>
          image.data[(row * image.width + column) * 3 + channel] ?? 0;
        const upper = at(top, left) + (at(top, right) - at(top, left)) * (u - left);
        const lower = at(bottom, left) + (at(bottom, right) - at(bottom, left)) * (u - left);
        data[(y * width + x) * 3 + channel] = Math.round(upper + (lower - upper) * (v - top));
      }
    }
  }
  return { data, width, height, format: 'raw' };
}

/** The frame as the official code makes it; its later default is the sigmoid rendering. */
function publishedFrame(flow: FlowMaps, block: number, picture: RgbImage, scale: FlowScale): RgbImage {
  const maps = flow.accumulated.map((map) => Float32Array.from(map.flat()));
  const levels = renderLevels(maps, scale === 'linear' ? 'linear' : 'sigmoid')[block] ?? new Uint8Array();
  const rows = flow.accumulated[block] ?? [];
  return publishedOverlay(levels, { width: rows[0]?.length ?? 0, height: rows.length }, picture);
}

/** The accumulated map of blocks 0..block over a copy of the picture. */
export function flowFrame(
  flow: FlowMaps,
  block: number,
  picture: RgbImage,
  { colormap = 'inferno', scale = 'common' }: FlowPictureOptions,
): RgbImage {
  if (colormap === 'jet') return publishedFrame(flow, block, picture, scale);
  const scaled = scaleMap(flow, { view: 'accumulated', scale }, block);
  const style = { view: 'accumulated', fade: true, smooth: true } as const;
  const overlay = paintMap(scaled, flowColorTable(colormap), picture, style);
  const data = new Uint8Array(picture.data);
  for (let pixel = 0; pixel < picture.width * picture.height; pixel += 1) {
    const opacity = (OPACITY * (overlay[4 * pixel + 3] ?? 0)) / 255;
    for (let channel = 0; channel < 3; channel += 1) {
      const under = data[3 * pixel + channel] ?? 0;
      data[3 * pixel + channel] = Math.round(under + opacity * ((overlay[4 * pixel + channel] ?? 0) - under));
    }
  }
  return { data, width: picture.width, height: picture.height, format: 'raw' };
}

export function fillRectangle(
  { data, width, height }: RgbImage,
  box: { x: number; y: number; width: number; height: number },
  grey: number,
): void {
  const [right, bottom] = [Math.min(width, box.x + box.width), Math.min(height, box.y + box.height)];
  for (let y = Math.max(0, box.y); y < bottom; y += 1)
    data.fill(grey, (y * width + Math.max(0, box.x)) * 3, (y * width + right) * 3);
}

/** Digits of 3 x 5 dots, a row of three bits each: numbers without any font on the machine. */
const DIGITS: readonly (readonly number[])[] = [
  [7, 5, 5, 5, 7],
  [2, 6, 2, 2, 7],
  [7, 1, 7, 4, 7],
  [7, 1, 7, 1, 7],
  [5, 5, 7, 1, 1],
  [7, 4, 7, 1, 7],
  [7, 4, 7, 5, 7],
  [7, 1, 1, 2, 2],
  [7, 5, 7, 5, 7],
  [7, 5, 7, 1, 7],
];

/** A number in white on black in the upper left corner at (x, y). */
export function drawNumber(image: RgbImage, value: number, x: number, y: number, dot = 3): void {
  const text = String(value);
  fillRectangle(image, { x, y, width: dot * (4 * text.length + 1), height: dot * 7 }, 0);
  Array.from(text, Number).forEach((digit, place) => {
    (DIGITS[digit] ?? []).forEach((bits, row) => {
      for (let column = 0; column < 3; column += 1) {
        if ((bits & (4 >> column)) === 0) continue;
        const left = x + dot * (1 + 4 * place + column);
        fillRectangle(image, { x: left, y: y + dot * (1 + row), width: dot, height: dot }, 255);
      }
    });
  });
}
