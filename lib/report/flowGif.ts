import type { FlowDocument } from '../daam/flowDocument.js';
import { KfdError } from '../errors.js';
import type { RgbImage } from '../image/rgbImage.js';
import { loadSharp } from '../image/sharpDecoder.js';
import {
  chosenFlow,
  drawNumber,
  fillRectangle,
  flowFrame,
  pictureAt,
  type FlowPictureOptions,
} from './flowFrames.js';
import type { FlowPicture } from './flowPage.js';

const SIDE = 448;
/** The speed of the published films: 1 frame a second, 2 for networks of 24 blocks. */
const frameMs = (blocks: number): number => (blocks >= 24 ? 500 : 1000);
/** The final map stays longer, before the film starts again. */
const LAST_FRAME_MS = 2500;
const BAR_HEIGHT = 6;

/** A bar along the lower edge that fills from the first block to the last. */
function drawProgress(frame: RgbImage, block: number, blocks: number): void {
  const y = frame.height - BAR_HEIGHT;
  fillRectangle(frame, { x: 0, y, width: frame.width, height: BAR_HEIGHT }, 0);
  const width = Math.round((frame.width * (block + 1)) / blocks);
  fillRectangle(frame, { x: 0, y: y + 1, width, height: BAR_HEIGHT - 2 }, 255);
}

/**
 * The accumulated maps of one flow over the picture as an endless GIF, one frame a block, numbered from 1.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT where the document's shapes do not fit or there is no such flow,
 *   ERR_KFD_TOOL_MISSING where sharp does not load
 */
export async function flowGif(
  document: FlowDocument,
  picture: FlowPicture,
  options: FlowPictureOptions = {},
): Promise<Uint8Array> {
  const flow = chosenFlow(document, options);
  const sharp = await loadSharp();
  if (sharp === undefined) {
    throw new KfdError('ERR_KFD_TOOL_MISSING', 'A GIF cannot be written: the package sharp does not load.', {
      hint: 'Install it again (npm install sharp), or ask for png instead.',
    });
  }
  const ground = await pictureAt(picture, SIDE);
  const blocks = flow.accumulated.length;
  const film = new Uint8Array(ground.data.length * blocks);
  for (let block = 0; block < blocks; block += 1) {
    const frame = flowFrame(flow, block, ground, options);
    drawNumber(frame, block + 1, 0, 0);
    drawProgress(frame, block, blocks);
    film.set(frame.data, block * ground.data.length);
  }
  const delay = Array.from({ length: blocks }, (_, block) =>
    block + 1 === blocks ? LAST_FRAME_MS : frameMs(blocks),
  );
  const { width, height } = ground;
  const raw = { width, height: height * blocks, channels: 3 as const, pageHeight: height };
  return sharp(film, { raw }).gif({ effort: 3, loop: 0, delay }).toBuffer();
}
