import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';

/** The `code` of a Node system error (`ENOENT`, `EACCES` ...), if that is what was thrown. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : undefined;
}

export async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}

export async function isFolder(folder: string): Promise<boolean> {
  return stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** All files below a folder, as whole paths. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** The bytes of all files below a folder, while others write there; 0 when there is none. */
export async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    bytes += await stat(path.join(entry.parentPath, entry.name)).then(
      (found) => found.size,
      () => 0, // it has just been moved
    );
  }
  return bytes;
}

/** A name beside `target` that no other process uses; what is left under it after a crash starts with a dot. */
export function temporaryName(target: string): string {
  const unique = `${process.pid}-${randomBytes(4).toString('hex')}`;
  return path.join(path.dirname(target), `.${path.basename(target)}.${unique}.tmp`);
}

/**
 * Writes a text file under a temporary name and renames it, so that no reader ever sees half of it.
 * @throws KfdError ERR_KFD_FILE_WRITE
 */
export async function writeTextFile(file: string, text: string): Promise<void> {
  const temporary = temporaryName(file);
  try {
    await writeFile(temporary, text);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new KfdError('ERR_KFD_FILE_WRITE', `Cannot write ${file}: ${(error as Error).message}`, {
      cause: error,
      hint: 'Check that the folder exists, is writable and has space left.',
    });
  }
}

/**
 * Creates a folder of the cache that only its owner may enter (mode 0700).
 * @throws KfdError ERR_KFD_FILE_WRITE
 */
export async function createPrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new KfdError(
      'ERR_KFD_FILE_WRITE',
      `Cannot create the folder ${folder}: ${(error as Error).message}`,
      {
        cause: error,
        hint: 'Set KFD_CACHE_DIR to a folder that you may write to.',
      },
    );
  }
}
