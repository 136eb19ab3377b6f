import { readdir, rename, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { createPrivateFolder, systemErrorCode, temporaryName } from './files.js';
import { withLock } from './lock.js';
import type { SetupReporter } from './reporter.js';

/** What the parts of the cache have in common: one lock, folders that appear whole, room on the disk. */

/** Moves a sealed folder to its place; what lies there (unfinished, damaged or to be replaced) is moved away first. */
export async function publishCacheFolder(sealed: string, target: string): Promise<void> {
  const old = temporaryName(target);
  try {
    await rename(target, old);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  await rename(sealed, target);
  await rm(old, { recursive: true, force: true });
}

/** Removes what interrupted runs have left. Only for the holder of the lock, who alone has unfinished work there. */
export async function removeLeftovers(folder: string, reporter: SetupReporter): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const leftovers = names.filter((name) => name.startsWith('.') && name.endsWith('.tmp'));
  for (const name of leftovers) await rm(path.join(folder, name), { recursive: true, force: true });
  if (leftovers.length > 0) reporter.note(`removed what an interrupted set-up left: ${leftovers.join(', ')}`);
}

/**
 * Runs `work` as the only set-up that changes this cache; another one waits for it.
 * @throws KfdError ERR_KFD_FILE_WRITE, ERR_KFD_ABORTED; whatever `work` throws
 */
export async function withCacheLock<T>(
  cacheDirectory: string,
  { reporter, signal }: { reporter: SetupReporter; signal?: AbortSignal | undefined },
  work: () => Promise<T>,
): Promise<T> {
  await createPrivateFolder(cacheDirectory);
  const onWait = (owner: string): void =>
    reporter.note(`another set-up is running (process ${owner.split(' ')[0] ?? ''}), waiting for it`);
  return withLock(path.join(cacheDirectory, 'setup.lock'), { signal, onWait }, work);
}

/** @throws KfdError ERR_KFD_FILE_WRITE when the disk under the folder has not this much free space */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new KfdError(
    'ERR_KFD_FILE_WRITE',
    `${folder}: expected ${bytes / 1e6} MB of free space, found ${Math.round(free / 1e6)}`,
    { hint: 'Make room, or set KFD_CACHE_DIR to a folder on another disk.' },
  );
}
