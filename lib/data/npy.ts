import { KfdError } from '../errors.js';
import type { FloatArray } from '../native/types.js';

/**
 * The .npy format of NumPy (format versions 1 to 3), C order, little endian: what researchers read and write without
 * us. Values come out as float32; an array that float32 cannot hold exactly enough (int64, complex, objects) is refused.
 */

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
  valueType: ValueType;
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
  const valueType = VALUE_TYPES[descriptor];
  if (valueType === undefined) {
    throw formatError(
      name,
      `expected values of type ${Object.keys(VALUE_TYPES).join(', ')} but received '${descriptor}'.`,
    );
  }
  const shape = shapeText
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(Number);
  if (fortranOrder === 'True' && shape.length > 1) {
    throw formatError(name, 'expected C order but received Fortran order.');
  }
  return { valueType, shape, dataOffset };
}

/**
 * Reads one .npy array.
 *
 * @param bytes the whole file
 * @param name what to call it in messages
 * @throws KfdError ERR_KFD_TENSOR_FORMAT
 */
export function parseNpy(bytes: Uint8Array, name = 'array'): FloatArray {
  const { valueType, shape, dataOffset } = readHeader(bytes, name);
  const count = shape.reduce((product, size) => product * size, 1);
  const expected = count * valueType.bytes;
  const received = bytes.length - dataOffset;
  if (!Number.isSafeInteger(expected) || expected !== received) {
    throw formatError(
      name,
      `shape (${shape.join(', ')}) needs ${expected} bytes of values but ${received} follow.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataOffset, received);
  const data = new Float32Array(count);
  for (let index = 0; index < count; index += 1) data[index] = valueType.read(view, index * valueType.bytes);
  return { shape, data };
}

/** Writes one array as .npy version 1, float32, C order. */
export function formatNpy(array: FloatArray): Uint8Array {
  const shape = array.shape.length === 1 ? `${String(array.shape[0])},` : array.shape.join(', ');
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}), }`;
  // numpy pads the header with blanks and ends it with a newline so that the values start aligned
  const unpadded = MAGIC.length + 4 + dictionary.length + 1;
  const padding = (HEADER_ALIGNMENT - (unpadded % HEADER_ALIGNMENT)) % HEADER_ALIGNMENT;
  const header = dictionary + ' '.repeat(padding) + '\n';
  const dataOffset = MAGIC.length + 4 + header.length;
  const bytes = new Uint8Array(dataOffset + array.data.length * 4);
  bytes.set(Buffer.from(MAGIC, 'latin1'), 0);
  const view = new DataView(bytes.buffer);
  view.setUint8(6, 1);
  view.setUint16(8, header.length, true);
  bytes.set(Buffer.from(header, 'latin1'), 10);
  array.data.forEach((value, index) => view.setFloat32(dataOffset + index * 4, value, true));
  return bytes;
}
