import { stat } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { filesBelow, isFolder } from '../files.js';
import {
  digestFiles,
  findLibraryDamage,
  readSeal,
  writeSeal,
  type Seal,
  type SealedFile,
} from '../sealedFolder.js';
import type { LibtorchFacts } from './verify.js';
import { inspectLibtorch } from './verify.js';

/**
 * The managed cache, `<cache>/libtorch/<version>-<variant>-<SHA-256 prefix>/`. Its manifest is written last: a folder
 * without one is an unfinished installation and does not count.
 */

const CACHE_SCHEMA = 'kfd.libtorch/1';

/** What was installed: the pin it came from. */
export interface CachedPackage {
  version: string;
  variant: string;
  file: string;
  sha256: string;
}

interface CacheManifest extends Seal {
  schema: typeof CACHE_SCHEMA;
  package: CachedPackage;
  /** Libraries with their hashes, checked at every use by setup and doctor. */
  libraries: readonly SealedFile[];
  /** Headers and CMake files: number and bytes, which shows missing and cut ones. */
  others: { files: number; bytes: number };
}

export function cacheFolder(cacheDirectory: string, pin: CachedPackage): string {
  const name = `${pin.version}-${pin.variant}-${pin.sha256.slice(0, 8)}`;
  return path.join(cacheDirectory, 'libtorch', name);
}

async function countOthers(folder: string): Promise<{ files: number; bytes: number }> {
  let bytes = 0;
  let files = 0;
  for (const part of ['include', 'share']) {
    for (const file of await filesBelow(path.join(folder, part))) {
      bytes += (await stat(file)).size;
      files += 1;
    }
  }
  return { files, bytes };
}

/** Writes the manifest of a freshly unpacked folder; from then on it counts. */
export async function sealCacheFolder(folder: string, pin: CachedPackage): Promise<void> {
  const { version, variant, file, sha256 } = pin;
  const manifest: CacheManifest = {
    schema: CACHE_SCHEMA,
    package: { version, variant, file, sha256 },
    libraries: await digestFiles(folder, await filesBelow(path.join(folder, 'lib'))),
    others: await countOthers(folder),
  };
  await writeSeal(folder, manifest);
}

/** What is wrong with a cached installation; undefined when every file is what was installed. */
async function findDamage(folder: string, manifest: CacheManifest): Promise<string | undefined> {
  const damage = await findLibraryDamage(folder, manifest, true);
  if (damage !== undefined) return damage;
  const others = await countOthers(folder);
  if (others.files === manifest.others.files && others.bytes === manifest.others.bytes) return undefined;
  return `headers: expected ${manifest.others.files} files, ${manifest.others.bytes} bytes, received ${others.files}, ${others.bytes}`;
}

/** A cached libtorch that is complete and undamaged, or why there is none. */
export async function readCachedLibtorch(
  cacheDirectory: string,
  pin: CachedPackage,
): Promise<LibtorchFacts | string> {
  const folder = cacheFolder(cacheDirectory, pin);
  if (!(await isFolder(folder))) return `${folder} does not exist`;
  const manifest = await readSeal<CacheManifest>(folder, CACHE_SCHEMA);
  if (manifest === undefined) return `${folder} has no manifest: an installation was interrupted`;
  if (manifest.package.sha256 !== pin.sha256)
    return `${folder} was made from another file than the pinned one`;
  const damage = await findDamage(folder, manifest);
  if (damage !== undefined) return `${folder} is damaged: ${damage}`;
  try {
    return await inspectLibtorch(folder);
  } catch (error) {
    if (error instanceof KfdError) return error.message;
    throw error;
  }
}
