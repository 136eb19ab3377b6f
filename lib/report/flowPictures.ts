import type { FlowDocument } from '../daam/flowDocument.js';
import { encodePng } from '../image/encode.js';
import type { RgbImage } from '../image/rgbImage.js';
import { chosenFlow, drawNumber, flowFrame, pictureAt, type FlowPictureOptions } from './flowFrames.js';
import type { FlowPicture } from './flowPage.js';

const FRAME_SIDE = 448;
const SHEET_SIDE = 224;
const SHEET_COLUMNS = 6;
const GAP = 6;

export interface NamedPng {
  /** For example "accumulated-03.png" (blocks count from 1) or "sheet.png". */
  name: string;
  png: Uint8Array;
}

/** All blocks in reading order, numbered from 1, on white. */
function sheetOf(frames: readonly RgbImage[]): RgbImage {
  const { width, height } = frames[0] ?? { width: 0, height: 0 };
  const columns = Math.min(SHEET_COLUMNS, frames.length);
  const rows = Math.ceil(frames.length / columns);
  const sheet = {
    width: columns * (width + GAP) + GAP,
    height: rows * (height + GAP) + GAP,
    format: 'raw',
  };
  const data = new Uint8Array(sheet.width * sheet.height * 3).fill(255);
  frames.forEach((frame, index) => {
    const left = GAP + (index % columns) * (width + GAP);
    const top = GAP + Math.floor(index / columns) * (height + GAP);
    for (let row = 0; row < height; row += 1) {
      const line = frame.data.subarray(row * width * 3, (row + 1) * width * 3);
      data.set(line, ((top + row) * sheet.width + left) * 3);
    }
    drawNumber({ ...sheet, data }, index + 1, left, top);
  });
  return { ...sheet, data };
}

/**
 * The accumulated maps of one flow over the picture: one PNG a block (448 pixels on the longer side, without numbers)
 * and one sheet of all blocks with their numbers.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT where the document's shapes do not fit or there is no such flow
 */
export async function flowPictures(
  document: FlowDocument,
  picture: FlowPicture,
  options: FlowPictureOptions = {},
): Promise<NamedPng[]> {
  const flow = chosenFlow(document, options);
  const [large, small] = [await pictureAt(picture, FRAME_SIDE), await pictureAt(picture, SHEET_SIDE)];
  const blocks = flow.accumulated.map((_, block) => block);
  const pictures: NamedPng[] = [];
  for (const block of blocks) {
    const name = `accumulated-${String(block + 1).padStart(2, '0')}.png`;
    pictures.push({ name, png: await encodePng(flowFrame(flow, block, large, options)) });
  }
  const sheet = sheetOf(blocks.map((block) => flowFrame(flow, block, small, options)));
  return [...pictures, { name: 'sheet.png', png: await encodePng(sheet) }];
}
