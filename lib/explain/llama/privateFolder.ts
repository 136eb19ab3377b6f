import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { KfdError } from '../../errors.js';

/**
 * Gives `use` a new folder that only this user can enter, and removes it with everything in it.
 *
 * @throws KfdError ERR_KFD_FILE_WRITE where the system's temporary folder takes none
 */
export async function withPrivateFolder<Value>(use: (folder: string) => Promise<Value>): Promise<Value> {
  const parent = tmpdir();
  let folder: string;
  try {
    folder = await mkdtemp(path.join(parent, 'kfd-native-')); // mode 0700
  } catch (cause) {
    throw new KfdError(
      'ERR_KFD_FILE_WRITE',
      `No folder can be made in ${parent}: ${(cause as Error).message}`,
      {
        cause,
        hint: 'The evidence is handed to the language model through a file there. Make room, or set TMPDIR.',
      },
    );
  }
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
