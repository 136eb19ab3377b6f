import type Sharp from 'sharp';
import { KfdError } from '../errors.js';
import type { ImageFormat } from './header.js';
import type { RgbImage } from './rgbImage.js';

/** Formats that the prebuilt libvips of sharp reads and that we let it read. */
export const SHARP_FORMATS: ReadonlySet<ImageFormat> = new Set([
  'jpeg',
  'png',
  'webp',
  'gif',
  'tiff',
  'avif',
]);

/** A picture that takes longer is an attack or a mistake. */
const TIMEOUT_SECONDS = 60;

let loading: Promise<typeof Sharp | undefined> | undefined;

/**
 * sharp, or undefined where it does not load (an unusual platform, a broken installation).
 *
 * Its thread count is set to one and its cache is switched off, process-wide: decoding runs beside the engine's lanes,
 * which already use the cores, and no picture is decoded twice.
 */
export function loadSharp(): Promise<typeof Sharp | undefined> {
  loading ??= import('sharp').then(
    ({ default: sharp }) => {
      sharp.concurrency(1);
      sharp.cache(false);
      return sharp;
    },
    () => undefined,
  );
  return loading;
}

/**
 * Decodes on libuv's thread pool. Animated pictures give their first frame; 16-bit, grey and CMYK become 8-bit sRGB,
 * embedded colour profiles are applied, transparency lies on black, the EXIF orientation is applied.
 *
 * @throws KfdError ERR_KFD_IMAGE_TOO_LARGE, ERR_KFD_IMAGE_DECODE (damaged or truncated)
 */
export async function decodeWithSharp(
  sharp: typeof Sharp,
  bytes: Uint8Array,
  format: ImageFormat,
  name: string,
  maxPixels: number,
): Promise<RgbImage> {
  try {
    const { data, info } = await sharp(bytes, {
      limitInputPixels: maxPixels,
      limitInputChannels: 5,
      failOn: 'error',
      autoOrient: true,
      pages: 1,
    })
      .timeout({ seconds: TIMEOUT_SECONDS })
      .flatten({ background: '#000000' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`expected 3 channels but received ${info.channels}`);
    // a plain Uint8Array: a Buffer's `slice` would share memory where the type promises a copy
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return { data: pixels, width: info.width, height: info.height, format };
  } catch (cause) {
    const message = (cause as Error).message;
    if (message.includes('exceeds pixel limit')) {
      throw new KfdError('ERR_KFD_IMAGE_TOO_LARGE', `${name} has more than ${maxPixels} pixels.`, {
        hint: 'Make it smaller, or raise maxPixels if you trust the source.',
        cause,
      });
    }
    throw new KfdError(
      'ERR_KFD_IMAGE_DECODE',
      `${name} is damaged or truncated (${format}): ${message.trim()}`,
      {
        hint: 'Open it in a viewer; fetch or export it again.',
        cause,
      },
    );
  }
}
