import { readFile } from 'node:fs/promises';
import { unzipSync, zipSync } from 'fflate';
import { KfdError } from '../errors.js';
import type { FloatArray, NamedArrays } from '../native/types.js';
import { formatNpy, parseNpy, type NpyArray } from './npy.js';
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
      { hint: 'Give the path of an .npy or .npz file.', cause },
    );
  }
}

/**
 * The members of an .npz file (a zip of .npy files), by name without `.npy`, not yet parsed.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ or ERR_KFD_TENSOR_FORMAT
 */
export async function readNpzMembers(file: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const bytes = await readBytes(file);
  let unpacked = 0;
  try {
    const entries = unzipSync(bytes, {
      filter: ({ originalSize, name }) => {
        unpacked += originalSize;
        if (unpacked > MAX_UNPACKED_BYTES)
          throw new Error(`it unpacks to more than ${MAX_UNPACKED_BYTES} bytes`);
        return name.endsWith('.npy');
      },
    });
    return new Map(
      Object.entries(entries).map(([name, content]) => [name.slice(0, -'.npy'.length), content]),
    );
  } catch (cause) {
    throw new KfdError(
      'ERR_KFD_TENSOR_FORMAT',
      `${file}: expected an .npz archive, but ${(cause as Error).message}.`,
      { hint: 'Write it with numpy.savez.', cause },
    );
  }
}

/**
 * Reads every array of an .npz file as float32.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ or ERR_KFD_TENSOR_FORMAT
 */
export async function readNpz(file: string): Promise<NamedArrays> {
  const members = await readNpzMembers(file);
  return Object.fromEntries(
    [...members].map(([key, content]) => [key, parseNpy(content, `${file}: ${key}`)]),
  );
}

/**
 * Reads the one array of an .npy file as float32.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ or ERR_KFD_TENSOR_FORMAT
 */
export async function readNpy(file: string): Promise<FloatArray> {
  return parseNpy(await readBytes(file), file);
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
export async function writeNpz(file: string, arrays: Readonly<Record<string, NpyArray>>): Promise<void> {
  const entries = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, formatNpy(array)] as const);
  await writeFileAtomically(file, zipSync(Object.fromEntries(entries), { level: 0 }));
}
