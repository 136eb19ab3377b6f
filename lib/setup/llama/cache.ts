import path from 'node:path';
import { KfdError } from '../../errors.js';
import type { NodeLlamaPin } from '../explainerLock.js';
import { filesBelow, isFolder } from '../files.js';
import {
  digestFiles,
  findLibraryDamage,
  readSeal,
  writeSeal,
  type Seal,
  type SealedFile,
} from '../sealedFolder.js';
import { inspectNodeLlama, type NodeLlamaFacts } from './inspect.js';

/**
 * The managed cache, `<cache>/node-llama-cpp/<version>/`: `package/` is what npm installed, `include/` the headers out of
 * it. The manifest of `package/` is written last: a folder without one is an unfinished installation and does not count.
 */

const CACHE_SCHEMA = 'kfd.node-llama/1';

interface CacheManifest extends Seal {
  schema: typeof CACHE_SCHEMA;
  version: string;
  /** The native libraries with their hashes. npm has checked the packages themselves against the lock file. */
  libraries: readonly SealedFile[];
  /** All files, which shows missing ones. */
  files: number;
}

/** The folder of one version; `package` and `include` lie in it. */
export function nodeLlamaCacheFolder(cacheDirectory: string, pin: NodeLlamaPin): string {
  return path.join(cacheDirectory, 'node-llama-cpp', pin.version);
}

export function installedFolder(cacheDirectory: string, pin: NodeLlamaPin): string {
  return path.join(nodeLlamaCacheFolder(cacheDirectory, pin), 'package');
}

/** Writes the manifest of a fresh installation; from then on it counts. */
export async function sealNodeLlama(folder: string, pin: NodeLlamaPin): Promise<void> {
  const files = await filesBelow(path.join(folder, 'node_modules'));
  const libraries = files.filter((name) => /\.(so|node)$/.test(name));
  const manifest: CacheManifest = {
    schema: CACHE_SCHEMA,
    version: pin.version,
    libraries: await digestFiles(folder, libraries),
    files: files.length,
  };
  await writeSeal(folder, manifest);
}

/** What is wrong with an installation; undefined when nothing is found. Sizes only unless `thorough`. */
async function findDamage(
  folder: string,
  manifest: CacheManifest,
  thorough: boolean,
): Promise<string | undefined> {
  const damage = await findLibraryDamage(folder, manifest, thorough);
  if (damage !== undefined || !thorough) return damage;
  const files = (await filesBelow(path.join(folder, 'node_modules'))).length;
  return files === manifest.files ? undefined : `expected ${manifest.files} files, received ${files}`;
}

/** A cached node-llama-cpp that is complete and undamaged, or why there is none. */
export async function readCachedNodeLlama(
  cacheDirectory: string,
  pin: NodeLlamaPin,
  thorough: boolean,
): Promise<NodeLlamaFacts | string> {
  const folder = installedFolder(cacheDirectory, pin);
  if (!(await isFolder(folder))) return `${folder} does not exist`;
  const manifest = await readSeal<CacheManifest>(folder, CACHE_SCHEMA);
  if (manifest === undefined) return `${folder} has no manifest: an installation was interrupted`;
  const damage = await findDamage(folder, manifest, thorough);
  if (damage !== undefined) return `${folder} is damaged: ${damage}`;
  try {
    return await inspectNodeLlama(folder, pin);
  } catch (error) {
    if (error instanceof KfdError) return error.message;
    throw error;
  }
}
