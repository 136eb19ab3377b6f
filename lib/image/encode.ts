import { KfdError } from '../errors.js';
import type { RgbImage } from './rgbImage.js';
import { loadSharp } from './sharpDecoder.js';

async function pipelineFor({ data, width, height }: RgbImage) {
  const sharp = await loadSharp();
  if (sharp === undefined) {
    throw new KfdError(
      'ERR_KFD_TOOL_MISSING',
      'Pictures cannot be written: the package sharp does not load.',
      {
        hint: 'Install it again (npm install sharp); node -e "import(\'sharp\')" says why it fails.',
      },
    );
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/**
 * PNG bytes of a picture, lossless.
 *
 * @throws KfdError ERR_KFD_TOOL_MISSING where sharp does not load
 */
export async function encodePng(image: RgbImage): Promise<Uint8Array> {
  return (await pipelineFor(image)).png({ compressionLevel: 6 }).toBuffer();
}

/** JPEG bytes, quality 85, for pages where size matters more than the last grey level. */
export async function encodeJpeg(image: RgbImage): Promise<Uint8Array> {
  return (await pipelineFor(image)).jpeg({ quality: 85 }).toBuffer();
}

/** The picture reduced so that its longer side has at most `maxSide` pixels, and its pixels per original pixel. */
export async function reduceImage(
  image: RgbImage,
  maxSide: number,
): Promise<{ image: RgbImage; scale: number }> {
  const scale = maxSide / Math.max(image.width, image.height);
  if (scale >= 1) return { image, scale: 1 };
  const width = Math.max(1, Math.round(image.width * scale));
  const pipeline = await pipelineFor(image);
  const { data, info } = await pipeline
    .resize({ width, height: Math.max(1, Math.round(image.height * scale)), fit: 'fill' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return {
    image: { data, width: info.width, height: info.height, format: image.format },
    scale: width / image.width,
  };
}
