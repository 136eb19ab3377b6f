import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { zipSync } from 'fflate';
import { formatNpy, parseNpy, parseNpyTexts } from '../../lib/data/npy.js';
import { readNpy, readNpz, readNpzArray, writeNpz } from '../../lib/data/npz.js';
import { writeFileAtomically } from '../../lib/data/writeFileAtomically.js';
import { KfdError } from '../../lib/errors.js';

/** A .npy file put together by hand, independently of formatNpy. */
function npyFile(
  descriptor: string,
  shape: string,
  values: Uint8Array,
  options: { fortran?: boolean } = {},
): Uint8Array {
  const order = options.fortran === true ? 'True' : 'False';
  const text = `{'descr': '${descriptor}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
  const header = Buffer.alloc(10);
  header.write('\x93NUMPY', 0, 'latin1');
  header.writeUInt8(1, 6);
  header.writeUInt16LE(text.length, 8);
  return Buffer.concat([header, Buffer.from(text, 'latin1'), values]);
}

const bytesOf = (array: Float32Array | Float64Array | Uint16Array) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const refusal = (pattern: RegExp) => (error: unknown) =>
  error instanceof KfdError && error.code === 'ERR_KFD_TENSOR_FORMAT' && pattern.test(error.message);

describe('data: .npy and .npz', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-npy-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('reads float32, float64, float16 and uint8', () => {
    const values = [0, 1, -2.5, 65504];
    assert.deepEqual([...parseNpy(npyFile('<f4', '(2, 2)', bytesOf(new Float32Array(values)))).data], values);
    assert.deepEqual([...parseNpy(npyFile('<f8', '(4,)', bytesOf(new Float64Array(values)))).data], values);
    const halves = new Uint16Array([0x0000, 0x3c00, 0xc100, 0x7bff, 0x0001, 0x7c00]);
    assert.deepEqual(
      [...parseNpy(npyFile('<f2', '(6,)', bytesOf(halves))).data],
      [...values, 2 ** -24, Infinity],
    );
    assert.deepEqual([...parseNpy(npyFile('|u1', '(3,)', new Uint8Array([0, 7, 255]))).data], [0, 7, 255]);
  });

  it('reads scalars and keeps shapes', () => {
    assert.deepEqual(parseNpy(npyFile('<f4', '()', bytesOf(new Float32Array([3])))).shape, []);
    assert.deepEqual(parseNpy(npyFile('<f4', '(1, 2, 3)', bytesOf(new Float32Array(6)))).shape, [1, 2, 3]);
  });

  it('refuses what it cannot hold, and says why', () => {
    const four = bytesOf(new Float32Array(4));
    assert.throws(() => parseNpy(npyFile('<i8', '(2,)', four)), refusal(/received '<i8'/));
    assert.throws(
      () => parseNpy(npyFile('<f4', '(5,)', four)),
      refusal(/needs 20 bytes of values but 16 follow/),
    );
    assert.throws(() => parseNpy(npyFile('<f4', '(2, 2)', four, { fortran: true })), refusal(/Fortran/));
    assert.throws(() => parseNpy(Buffer.from('not numpy at all')), refusal(/signature/));
    assert.throws(() => parseNpy(npyFile('<f4', '(4,)', four).subarray(0, 20)), refusal(/inside its header/));
  });

  it('writes headers that end on a multiple of 64 bytes, and reads back what it wrote', () => {
    for (const shape of [[6], [2, 3], [1, 1, 6], []]) {
      const count = shape.reduce((product, size) => product * size, 1);
      const data = Float32Array.from({ length: count }, (_, index) => index / 3);
      const file = formatNpy({ shape, data });
      assert.equal((file.length - count * 4) % 64, 0);
      const read = parseNpy(file);
      assert.deepEqual(read.shape, shape);
      assert.deepEqual([...read.data], [...data]);
    }
  });

  it('writes bytes and texts, and reads them back', () => {
    const bytes = { shape: [2, 2], data: Uint8Array.of(0, 1, 128, 255) };
    const written = formatNpy(bytes);
    assert.match(Buffer.from(written).toString('latin1'), /'descr': '\|u1'/);
    assert.deepEqual([...parseNpy(written).data], [0, 1, 128, 255]);
    const texts = { shape: [3], data: ['', 'größer', 'a\u{1f30b}b'] };
    const file = formatNpy(texts);
    assert.match(Buffer.from(file).toString('latin1'), /'descr': '<U6'/);
    assert.deepEqual(parseNpyTexts(file), texts);
    assert.throws(() => parseNpyTexts(written), refusal(/expected texts \(<U\) but received '\|u1'/));
    assert.throws(() => parseNpy(file), refusal(/received '<U6'/));
    const damaged = new Uint8Array(file);
    damaged.fill(255, damaged.length - 4);
    assert.throws(() => parseNpyTexts(damaged), refusal(/no Unicode code point/));
    assert.throws(() => parseNpyTexts(file.subarray(0, file.length - 4)), refusal(/needs 72 bytes/));
  });

  it('reads a single .npy file', async () => {
    const file = path.join(folder, 'single.npy');
    await writeFile(file, formatNpy({ shape: [2], data: Float32Array.of(1, 2) }));
    assert.deepEqual(await readNpy(file), { shape: [2], data: Float32Array.of(1, 2) });
    await assert.rejects(readNpy(path.join(folder, 'none.npy')), { code: 'ERR_KFD_FILE_NOT_FOUND' });
  });

  it('round-trips archives and names what is missing', async () => {
    const file = path.join(folder, 'a.npz');
    await writeNpz(file, {
      input: { shape: [1, 2], data: new Float32Array([1, 2]) },
      M0: { shape: [1], data: new Float32Array([9]) },
    });
    const arrays = await readNpz(file);
    assert.deepEqual(Object.keys(arrays), ['input', 'M0']);
    assert.deepEqual([...(arrays['input']?.data ?? [])], [1, 2]);
    await assert.rejects(readNpzArray(file, 'x'), refusal(/named 'x' but found input, M0/));
    await assert.rejects(readNpz(path.join(folder, 'none.npz')), { code: 'ERR_KFD_FILE_NOT_FOUND' });
    await writeFile(path.join(folder, 'text.npz'), 'hello');
    await assert.rejects(readNpz(path.join(folder, 'text.npz')), refusal(/expected an .npz archive/));
  });

  it('refuses an archive that promises to unpack to gigabytes', async () => {
    const zip = Buffer.from(zipSync({ 'input.npy': new Uint8Array(1000) }));
    const central = zip.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    zip.writeUInt32LE(0x7fffffff, central + 24); // uncompressed size in the central directory
    const file = path.join(folder, 'bomb.npz');
    await writeFile(file, zip);
    await assert.rejects(readNpz(file), refusal(/unpacks to more than/));
  });

  it('leaves nothing behind when a file cannot be written', async () => {
    const target = path.join(folder, 'taken');
    await writeFileAtomically(path.join(target, 'inside.txt'), 'x'); // makes `taken` a folder
    await assert.rejects(writeFileAtomically(target, 'y'), { code: 'ERR_KFD_FILE_WRITE' });
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });
});
