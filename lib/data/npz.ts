import { readFile } from 'node:fs/promises';
import { unzipSync, zipSync } from 'fflate';
import { KfdError } from '../errors.js';
import type { FloatArray, NamedArrays } from '../native/types.js';
import { formatNpy, parseNpy } from './npy.js';
import { writeFileAtomically } from './writeFileAtomically.js';

/** Refuse archives that would unpack to more than this (a zip can promise anything). */
const MAX_UNPACKED_BYTES = 2 ** 30;

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new KfdError(
      missing ? 'ERR_KFD_FILE_NOT_FOUND' : 'ERR_KFD_FILE_READ',
      missing ? `${file} does not exist.` : `${file} cannot be read: ${(cause as Error).message}`,
      { hint: 'Give the path of an .npz file.', cause },
    );
  }
}

/**
 * Reads every array of an .npz file (a zip of .npy files) as float32.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ or ERR_KFD_TENSOR_FORMAT
 */
export async function readNpz(file: string): Promise<NamedArrays> {
  const bytes = await readBytes(file);
  let unpacked = 0;
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes, {
      filter: ({ originalSize, name }) => {
        unpacked += originalSize;
        if (unpacked > MAX_UNPACKED_BYTES)
          throw new Error(`it unpacks to more than ${MAX_UNPACKED_BYTES} bytes`);
        return name.endsWith('.npy');
      },
    });
  } catch (cause) {
    throw new KfdError(
      'ERR_KFD_TENSOR_FORMAT',
      `${file}: expected an .npz archive, but ${(cause as Error).message}.`,
      { hint: 'Write it with numpy.savez.', cause },
    );
  }
  return Object.fromEntries(
    Object.entries(entries).map(([name, content]) => {
      const key = name.slice(0, -'.npy'.length);
      return [key, parseNpy(content, `${file}: ${key}`)];
    }),
  );
}

/**
 * Reads one named array.
 *
 * @throws KfdError ERR_KFD_TENSOR_FORMAT when the file has no such array (the message lists those it has)
 */
export async function readNpzArray(file: string, key: string): Promise<FloatArray> {
  const arrays = await readNpz(file);
  const array = arrays[key];
  if (array === undefined) {
    const present = Object.keys(arrays).join(', ') || 'nothing';
    throw new KfdError(
      'ERR_KFD_TENSOR_FORMAT',
      `${file}: expected an array named '${key}' but found ${present}.`,
      {
        hint: `Save it with numpy.savez(file, ${key}=array).`,
      },
    );
  }
  return array;
}

/** Writes arrays as .npz, stored without compression (float32 noise does not shrink), whole or not at all. */
export async function writeNpz(file: string, arrays: NamedArrays): Promise<void> {
  const entries = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, formatNpy(array)] as const);
  await writeFileAtomically(file, zipSync(Object.fromEntries(entries), { level: 0 }));
}
