import { parentPort } from 'node:worker_threads';
import { Jimp } from 'jimp';
import { flattenOnBlack } from './rgbImage.js';

/** One decoding job of the fallback decoder; see jimpDecoder.ts. */
export interface JimpJob {
  id: number;
  bytes: Uint8Array;
  maxMegapixels: number;
}

export type JimpAnswer =
  { id: number; data: Uint8Array; width: number; height: number } | { id: number; error: string };

async function decode({ id, bytes, maxMegapixels }: JimpJob): Promise<JimpAnswer> {
  try {
    const image = await Jimp.fromBuffer(Buffer.from(bytes), {
      'image/jpeg': {
        tolerantDecoding: false, // a truncated picture is refused, not filled with grey
        maxResolutionInMP: maxMegapixels,
        maxMemoryUsageInMB: 64 + maxMegapixels * 24, // jpeg-js needs about 20 bytes a pixel
      },
    });
    return {
      id,
      data: flattenOnBlack(image.bitmap.data),
      width: image.bitmap.width,
      height: image.bitmap.height,
    };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', (job: JimpJob) => {
  void decode(job).then((answer) => {
    parentPort?.postMessage(answer, 'data' in answer ? [answer.data.buffer as ArrayBuffer] : []);
  });
});
