/**
 * What the first bytes of a file say: its format and, where the header holds them, its dimensions. This is read before
 * any decoder sees the bytes, so that only known picture formats reach one and a picture that is too large is refused
 * from its header.
 */

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif' | 'bmp';

export interface ImageHeader {
  format: ImageFormat;
  /** As stored, before any EXIF rotation; undefined where the header does not tell. */
  size: { width: number; height: number } | undefined;
}

const latin1 = (bytes: Uint8Array, start: number, end: number) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start, end);

function pngSize(view: DataView) {
  return view.byteLength >= 24 ? { width: view.getUint32(16), height: view.getUint32(20) } : undefined;
}

function gifSize(view: DataView) {
  return view.byteLength >= 10
    ? { width: view.getUint16(6, true), height: view.getUint16(8, true) }
    : undefined;
}

function bmpSize(view: DataView) {
  // the height is negative in files stored top row first
  return view.byteLength >= 26
    ? { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) }
    : undefined;
}

/** Walks the JPEG segments up to the first start-of-frame (SOF0 to SOF15 without DHT, JPG and DAC). */
function jpegSize(view: DataView) {
  let offset = 2;
  while (offset + 9 <= view.byteLength) {
    if (view.getUint8(offset) !== 0xff) return undefined;
    const marker = view.getUint8(offset + 1);
    if (marker === 0xff) {
      offset += 1; // fill byte
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      offset += 2; // markers without a segment
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: view.getUint16(offset + 7), height: view.getUint16(offset + 5) };
    } else {
      offset += 2 + view.getUint16(offset + 2);
    }
  }
  return undefined;
}

function webpSize(bytes: Uint8Array, view: DataView) {
  if (bytes.length < 30) return undefined;
  const chunk = latin1(bytes, 12, 16);
  const uint24 = (offset: number) => view.getUint16(offset, true) + (view.getUint8(offset + 2) << 16);
  if (chunk === 'VP8X') return { width: uint24(24) + 1, height: uint24(27) + 1 };
  if (chunk === 'VP8L') {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (chunk === 'VP8 ') {
    return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  }
  return undefined;
}

/** The picture format and size, or undefined when the bytes are no picture that this package decodes. */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = latin1(bytes, 0, 16);
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return { format: 'png', size: pngSize(view) };
  if (start.startsWith('\xff\xd8\xff')) return { format: 'jpeg', size: jpegSize(view) };
  if (/^GIF8[79]a/.test(start)) return { format: 'gif', size: gifSize(view) };
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') {
    return { format: 'webp', size: webpSize(bytes, view) };
  }
  if (/^(II\*\0|MM\0\*)/.test(start)) return { format: 'tiff', size: undefined };
  if (/^....ftypavi[fs]/s.test(start)) return { format: 'avif', size: undefined };
  if (start.startsWith('BM')) return { format: 'bmp', size: bmpSize(view) };
  return undefined;
}

/* eslint-disable no-control-regex -- signatures hold control characters, and these tell binary from text */
const KNOWN_STRANGERS: readonly (readonly [RegExp, string])[] = [
  [/^%PDF-/, 'a PDF document'],
  [/^(\ufeff|\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?<svg/i, 'an SVG drawing'],
  [/^\s*<(!doctype html|html|head|body)/i, 'an HTML page'],
  [/^PK\x03\x04/, 'a ZIP archive'],
  [/^\x1f\x8b/, 'a gzip archive'],
  [/^....ftyp(hei|hev|mif|msf)/s, 'a HEIC photograph (convert it to JPEG or PNG)'],
  [/^....ftyp/s, 'an MP4 or QuickTime video'],
  [/^\x1a\x45\xdf\xa3/, 'a Matroska or WebM video'],
  [/^RIFF....AVI /s, 'an AVI video'],
  [/^\0\0\0\x0cJXL |^\xff\x0a/, 'a JPEG XL picture'],
  [/^\0\0\0\x0cjP /, 'a JPEG 2000 picture'],
  [/^\x93NUMPY/, 'a NumPy array'],
];

/** Says in a few words what a file that is no picture is, for error messages. */
export function describeContent(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const start = latin1(bytes, 0, 512);
  const stranger = KNOWN_STRANGERS.find(([pattern]) => pattern.test(start));
  if (stranger !== undefined) return stranger[1];
  const text = Buffer.from(bytes.subarray(0, 512))
    .toString('utf8')
    .replace(/\ufffd$/, '');
  if (!/[\0-\x08\x0e-\x1f\ufffd]/.test(text)) {
    return `text ("${text.replace(/\s+/g, ' ').trim().slice(0, 24)}")`;
  }
  return `unknown data (it starts with ${Buffer.from(bytes.subarray(0, 4)).toString('hex')})`;
}
