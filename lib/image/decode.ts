import { open, type FileHandle } from 'node:fs/promises';
import { KfdError } from '../errors.js';
import { describeContent, readImageHeader, type ImageHeader } from './header.js';
import { decodeWithJimp, JIMP_FORMATS } from './jimpDecoder.js';
import { flattenOnBlack, type ImageSource, type RawImage, type RgbImage } from './rgbImage.js';
import { decodeWithSharp, loadSharp, SHARP_FORMATS } from './sharpDecoder.js';

export interface DecodeOptions {
  /** Refuse larger pictures from their header; default 50 million. */
  maxPixels?: number;
  /** Refuse larger files; default 64 MiB. */
  maxBytes?: number;
  /**
   * 'auto' takes sharp and, where sharp does not load or does not know the format (BMP), the pure-JavaScript jimp in a
   * thread of its own. Never is a picture that one decoder refused handed to the other.
   */
  decoder?: 'auto' | 'sharp' | 'jimp';
  /** What to call the picture in messages; default its path, or "the image". */
  name?: string;
}

export const DEFAULT_MAX_PIXELS = 50_000_000;
export const DEFAULT_MAX_BYTES = 64 * 2 ** 20;

function tooLarge(message: string): KfdError {
  return new KfdError('ERR_KFD_IMAGE_TOO_LARGE', message, {
    hint: 'Make it smaller, or raise maxPixels or maxBytes if you trust the source.',
  });
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new KfdError('ERR_KFD_FILE_NOT_FOUND', `${file} does not exist.`, {
        hint: 'Check the path.',
        cause,
      });
    }
    throw new KfdError('ERR_KFD_FILE_READ', `${file} cannot be read: ${(cause as Error).message}`, {
      hint: 'Check its permissions.',
      cause,
    });
  }
}

async function readImageFile(file: string, maxBytes: number): Promise<Uint8Array> {
  const handle = await openFile(file);
  try {
    const status = await handle.stat();
    if (!status.isFile()) {
      const what = status.isDirectory() ? 'a folder' : 'not a regular file';
      throw new KfdError('ERR_KFD_FILE_READ', `${file} is ${what}; expected an image file.`, {
        hint: 'Give the path of an image.',
      });
    }
    if (status.size > maxBytes) {
      throw tooLarge(`${file} has ${status.size} bytes; the limit is ${maxBytes}.`);
    }
    return await handle.readFile();
  } catch (cause) {
    if (cause instanceof KfdError) throw cause;
    throw new KfdError('ERR_KFD_FILE_READ', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  } finally {
    await handle.close();
  }
}

function describeType(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.prototype.toString.call(value);
}

/** What reaches us from JavaScript need not be what the types say. */
function isRawImage(source: unknown): source is RawImage {
  if (typeof source !== 'object' || source === null || !('data' in source)) return false;
  return source.data instanceof Uint8Array || source.data instanceof Uint8ClampedArray;
}

function fromRaw(raw: RawImage, maxPixels: number): RgbImage {
  if (!isRawImage(raw)) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected an image as a path, a Uint8Array or { data, width, height } but received ${describeType(raw)}.`,
      { hint: 'Wrap an ArrayBuffer: new Uint8Array(buffer).' },
    );
  }
  const channels: number = raw.channels ?? 3;
  const { width, height, data } = raw;
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!whole || (channels !== 3 && channels !== 4) || data.length !== width * height * channels) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected raw pixels of width * height * channels bytes but received ${data.length} bytes for ` +
        `${width} x ${height} x ${channels}.`,
      { hint: 'Give interleaved 8-bit RGB or RGBA without row padding.' },
    );
  }
  if (width * height > maxPixels)
    throw tooLarge(`The image has ${width} x ${height} pixels; the limit is ${maxPixels}.`);
  const rgb =
    channels === 4 ? flattenOnBlack(data) : new Uint8Array(data.buffer, data.byteOffset, data.length);
  return { data: rgb, width, height, format: 'raw' };
}

function checkedHeader(bytes: Uint8Array, name: string, maxPixels: number): ImageHeader {
  const header = readImageHeader(bytes);
  if (header === undefined) {
    throw new KfdError('ERR_KFD_IMAGE_DECODE', `${name} is not an image but ${describeContent(bytes)}.`, {
      hint: 'Supported are JPEG, PNG, WebP, GIF, TIFF, AVIF and BMP.',
    });
  }
  const { size } = header;
  if (size !== undefined && size.width * size.height > maxPixels) {
    throw tooLarge(`${name} has ${size.width} x ${size.height} pixels; the limit is ${maxPixels}.`);
  }
  return header;
}

/**
 * Turns a path, encoded bytes or raw pixels into an upright 8-bit RGB picture. The decoding runs off the event loop.
 * Only the formats that lib/image/header.ts recognises reach a decoder; SVG, PDF and the like never do.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ (a folder, no permission), ERR_KFD_IMAGE_DECODE (empty,
 *   damaged, truncated, not a picture), ERR_KFD_IMAGE_TOO_LARGE, ERR_KFD_INVALID_ARGUMENT
 */
export async function decodeImage(source: ImageSource, options: DecodeOptions = {}): Promise<RgbImage> {
  const { maxPixels = DEFAULT_MAX_PIXELS, maxBytes = DEFAULT_MAX_BYTES, decoder = 'auto' } = options;
  const isBytes = source instanceof Uint8Array;
  if (typeof source !== 'string' && !isBytes) return fromRaw(source, maxPixels);

  const name = options.name ?? (isBytes ? 'The image' : source);
  if (isBytes && source.length > maxBytes) {
    throw tooLarge(`${name} has ${source.length} bytes; the limit is ${maxBytes}.`);
  }
  const bytes = isBytes ? source : await readImageFile(source, maxBytes);
  const header = checkedHeader(bytes, name, maxPixels);

  const sharp = decoder === 'jimp' ? undefined : await loadSharp();
  if (sharp !== undefined && SHARP_FORMATS.has(header.format)) {
    return decodeWithSharp(sharp, bytes, header.format, name, maxPixels);
  }
  if (decoder !== 'sharp' && JIMP_FORMATS.has(header.format))
    return decodeWithJimp(bytes, header, name, maxPixels);
  throw new KfdError(
    'ERR_KFD_IMAGE_DECODE',
    `${name} is a ${header.format} picture, which needs another decoder.`,
    {
      hint:
        decoder === 'sharp'
          ? "Take decoder 'auto', and check that sharp loads: node -e \"import('sharp')\"."
          : 'The jimp decoder reads JPEG, PNG, GIF and BMP; install sharp for the rest, or convert the picture.',
    },
  );
}
