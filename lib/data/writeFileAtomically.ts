import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { temporaryName } from '../setup/files.js';

/**
 * Writes a file so that a reader sees either the whole of it or nothing: first under a temporary name in the same
 * folder, then renamed. Missing parent folders are made.
 *
 * @throws KfdError ERR_KFD_FILE_WRITE
 */
export async function writeFileAtomically(target: string, content: string | Uint8Array): Promise<void> {
  const temporary = temporaryName(target);
  try {
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(temporary, content);
    await rename(temporary, target);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new KfdError('ERR_KFD_FILE_WRITE', `${target} cannot be written: ${(cause as Error).message}`, {
      hint: 'Check that the folder exists, is writable and has space left.',
      cause,
    });
  }
}
