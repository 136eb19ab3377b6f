import { readFile } from 'node:fs/promises';
import { KfdError } from '../errors.js';

/**
 * A text file that the user named; `what` stands for its content in the message ("The groups people.csv cannot be read").
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ
 */
export async function readTextFile(file: string, what: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const message = `The ${what} ${file} cannot be read: ${(cause as Error).message}`;
    throw new KfdError(isMissing ? 'ERR_KFD_FILE_NOT_FOUND' : 'ERR_KFD_FILE_READ', message, { cause });
  });
}
