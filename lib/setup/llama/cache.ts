import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { digestFile } from '../digest.js';
import type { NodeLlamaPin } from '../explainerLock.js';
import { isFolder, systemErrorCode, writeTextFile } from '../files.js';
import { inspectNodeLlama, type NodeLlamaFacts } from './inspect.js';

/**
 * The managed cache, `<cache>/node-llama-cpp/<version>/`: `package/` is what npm installed, `include/` the headers out of
 * it. The manifest of `package/` is written last: a folder without one is an unfinished installation and does not count.
 */

const CACHE_SCHEMA = 'kfd.node-llama/1';
const MANIFEST = 'manifest.json';

interface CacheManifest {
  schema: typeof CACHE_SCHEMA;
  version: string;
  /** The native libraries with their hashes. npm has checked the packages themselves against the lock file. */
  libraries: { path: string; bytes: number; sha256: string }[];
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

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** Writes the manifest of a fresh installation; from then on it counts. */
export async function sealNodeLlama(folder: string, pin: NodeLlamaPin): Promise<void> {
  const files = await filesBelow(path.join(folder, 'node_modules'));
  const libraries: CacheManifest['libraries'] = [];
  for (const file of files.filter((name) => /\.(so|node)$/.test(name)).sort()) {
    libraries.push({ path: path.relative(folder, file), ...(await digestFile(file)) });
  }
  const manifest: CacheManifest = {
    schema: CACHE_SCHEMA,
    version: pin.version,
    libraries,
    files: files.length,
  };
  await writeTextFile(path.join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

async function readManifest(folder: string): Promise<CacheManifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(path.join(folder, MANIFEST), 'utf8')) as
      CacheManifest | { schema: unknown };
    return manifest.schema === CACHE_SCHEMA ? (manifest as CacheManifest) : undefined;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What is wrong with an installation; undefined when nothing is found. Sizes only unless `thorough`. */
async function findDamage(
  folder: string,
  manifest: CacheManifest,
  thorough: boolean,
): Promise<string | undefined> {
  for (const library of manifest.libraries) {
    const file = path.join(folder, library.path);
    const bytes = await stat(file).then(
      (found) => found.size,
      () => undefined,
    );
    if (bytes === undefined) return `${library.path} is missing`;
    if (bytes !== library.bytes) return `${library.path}: expected ${library.bytes} bytes, received ${bytes}`;
    if (!thorough) continue;
    const { sha256 } = await digestFile(file);
    if (sha256 !== library.sha256)
      return `${library.path}: expected SHA-256 ${library.sha256}, received ${sha256}`;
  }
  if (!thorough) return undefined;
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
  const manifest = await readManifest(folder);
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
