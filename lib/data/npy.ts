import { KfdError } from '../errors.js';
import type { FloatArray } from '../native/types.js';

/**
 * The .npy format of NumPy (format versions 1 to 3), C order, little endian: what researchers read and write without
 * us. Numbers come out as float32; an array that float32 cannot hold exactly enough (int64, complex, objects) is refused.
 * Bytes (`|u1`) are also written, and texts (`<U`) are read and written apart, by `parseNpyTexts`.
 */

/** Written as `|u1`. */
export interface ByteArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** Written as `<Un`, n the longest text in code points. */
export interface TextArray {
  readonly shape: readonly number[];
  readonly data: readonly string[];
}

export type NpyArray = FloatArray | ByteArray | TextArray;

const MAGIC = '\x93NUMPY';
const HEADER_ALIGNMENT = 64;

function formatError(name: string, message: string): KfdError {
  return new KfdError('ERR_KFD_TENSOR_FORMAT', `${name}: ${message}`, {
    hint: 'Write it with numpy.save or numpy.savez as a C-ordered float32 array.',
  });
}

/** IEEE 754 half precision to a number. */
function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

interface ValueType {
  bytes: number;
  read(view: DataView, offset: number): number;
}

const VALUE_TYPES: Readonly<Record<string, ValueType>> = {
  '<f4': { bytes: 4, read: (view, offset) => view.getFloat32(offset, true) },
  '<f8': { bytes: 8, read: (view, offset) => view.getFloat64(offset, true) },
  '<f2': { bytes: 2, read: (view, offset) => halfToNumber(view.getUint16(offset, true)) },
  '|u1': { bytes: 1, read: (view, offset) => view.getUint8(offset) },
};

interface NpyHeader {
  /** NumPy's spelling of the type, e.g. `<f4`. */
  descriptor: string;
  shape: number[];
  /** Byte offset of the first value. */
  dataOffset: number;
}

function readHeader(bytes: Uint8Array, name: string): NpyHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || Buffer.from(bytes.subarray(0, 6)).toString('latin1') !== MAGIC) {
    throw formatError(name, 'expected a .npy array, but its signature is missing.');
  }
  const version = view.getUint8(6);
  if (version < 1 || version > 3)
    throw formatError(name, `.npy format version ${version} is not known (1 to 3 are).`);
  const lengthBytes = version === 1 ? 2 : 4;
  const headerLength = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataOffset = 8 + lengthBytes + headerLength;
  if (dataOffset > bytes.length) throw formatError(name, 'the file ends inside its header.');
  const header = Buffer.from(bytes.subarray(8 + lengthBytes, dataOffset)).toString('latin1');

  const descriptor = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const fortranOrder = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const shapeText = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(header)?.[1];
  if (descriptor === undefined || fortranOrder === undefined || shapeText === undefined) {
    throw formatError(name, `the header cannot be understood: ${header.trim().slice(0, 80)}`);
  }
  const shape = shapeText
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(Number);
  if (fortranOrder === 'True' && shape.length > 1) {
    throw formatError(name, 'expected C order but received Fortran order.');
  }
  return { descriptor, shape, dataOffset };
}

function valueBytes(
  bytes: Uint8Array,
  { shape, dataOffset }: NpyHeader,
  size: number,
  name: string,
): DataView {
  const expected = countOf(shape) * size;
  const received = bytes.length - dataOffset;
  if (!Number.isSafeInteger(expected) || expected !== received) {
    throw formatError(
      name,
      `shape (${shape.join(', ')}) needs ${expected} bytes of values but ${received} follow.`,
    );
  }
  return new DataView(bytes.buffer, bytes.byteOffset + dataOffset, received);
}

const countOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/**
 * Reads one .npy array of numbers.
 *
 * @param bytes the whole file
 * @param name what to call it in messages
 * @throws KfdError ERR_KFD_TENSOR_FORMAT
 */
export function parseNpy(bytes: Uint8Array, name = 'array'): FloatArray {
  const header = readHeader(bytes, name);
  const valueType = VALUE_TYPES[header.descriptor];
  if (valueType === undefined) {
    throw formatError(
      name,
      `expected values of type ${Object.keys(VALUE_TYPES).join(', ')} but received '${header.descriptor}'.`,
    );
  }
  const view = valueBytes(bytes, header, valueType.bytes, name);
  const data = new Float32Array(countOf(header.shape));
  for (let index = 0; index < data.length; index += 1)
    data[index] = valueType.read(view, index * valueType.bytes);
  return { shape: header.shape, data };
}

const BYTES_PER_CODE_POINT = 4;

/**
 * Reads one .npy array of texts (`<Un`: UCS-4, padded with zeros).
 *
 * @throws KfdError ERR_KFD_TENSOR_FORMAT
 */
export function parseNpyTexts(bytes: Uint8Array, name = 'array'): TextArray {
  const header = readHeader(bytes, name);
  const length = Number(/^<U(\d+)$/.exec(header.descriptor)?.[1] ?? NaN);
  if (Number.isNaN(length))
    throw formatError(name, `expected texts (<U) but received '${header.descriptor}'.`);
  const view = valueBytes(bytes, header, length * BYTES_PER_CODE_POINT, name);
  const data = Array.from({ length: countOf(header.shape) }, (_, index) => {
    let text = '';
    for (let position = 0; position < length; position += 1) {
      const point = view.getUint32((index * length + position) * BYTES_PER_CODE_POINT, true);
      if (point > 0x10ffff) throw formatError(name, `${point} is no Unicode code point.`);
      if (point !== 0) text += String.fromCodePoint(point);
    }
    return text;
  });
  return { shape: header.shape, data };
}

interface Encoded {
  descriptor: string;
  bytes: Uint8Array;
}

function encodeTexts(texts: readonly string[]): Encoded {
  const points = texts.map((text) => Array.from(text, (character) => character.codePointAt(0) ?? 0));
  const length = Math.max(1, ...points.map((of) => of.length));
  const bytes = new Uint8Array(texts.length * length * BYTES_PER_CODE_POINT);
  const view = new DataView(bytes.buffer);
  points.forEach((of, index) =>
    of.forEach((point, position) =>
      view.setUint32((index * length + position) * BYTES_PER_CODE_POINT, point, true),
    ),
  );
  return { descriptor: `<U${length}`, bytes };
}

function encodeValues(data: NpyArray['data']): Encoded {
  if (data instanceof Uint8Array) return { descriptor: '|u1', bytes: data };
  if (!(data instanceof Float32Array)) return encodeTexts(data);
  const bytes = new Uint8Array(data.length * 4);
  const view = new DataView(bytes.buffer);
  data.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return { descriptor: '<f4', bytes };
}

/** Writes one array as .npy version 1, C order: float32, bytes or texts. */
export function formatNpy(array: NpyArray): Uint8Array {
  const { descriptor, bytes: values } = encodeValues(array.data);
  const shape = array.shape.length === 1 ? `${String(array.shape[0])},` : array.shape.join(', ');
  const dictionary = `{'descr': '${descriptor}', 'fortran_order': False, 'shape': (${shape}), }`;
  // numpy pads the header with blanks and ends it with a newline so that the values start aligned
  const unpadded = MAGIC.length + 4 + dictionary.length + 1;
  const padding = (HEADER_ALIGNMENT - (unpadded % HEADER_ALIGNMENT)) % HEADER_ALIGNMENT;
  const header = dictionary + ' '.repeat(padding) + '\n';
  const dataOffset = MAGIC.length + 4 + header.length;
  const bytes = new Uint8Array(dataOffset + values.length);
  bytes.set(Buffer.from(MAGIC, 'latin1'), 0);
  const view = new DataView(bytes.buffer);
  view.setUint8(6, 1);
  view.setUint16(8, header.length, true);
  bytes.set(Buffer.from(header, 'latin1'), 10);
  bytes.set(values, dataOffset);
  return bytes;
}
