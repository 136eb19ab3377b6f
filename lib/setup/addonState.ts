import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { environmentConfig, packageRoot, packageVersion } from '../native/config.js';
import { ADDON_FILE } from '../native/loader.js';
import { filesBelow, isFile, systemErrorCode } from './files.js';
import { inspectLibtorch } from './libtorch/verify.js';
import type { LibtorchSource } from './libtorch/types.js';

/** Written beside the addon when a build has succeeded, so that a later run knows whether it still fits. */
export interface BuildInfo {
  schema: 'kfd.build/1';
  packageVersion: string;
  sourceHash: string;
  libtorch: { root: string; version: string; source: LibtorchSource };
  /** Headers of llama.cpp that it was compiled with; null: built without the explainer. */
  llama: { include: string; release: string } | null;
  compiler: string;
  seconds: number;
}

export interface AddonState {
  state: 'missing' | 'stale' | 'current';
  why: string;
  file: string;
  info: BuildInfo | undefined;
}

/** The build folder, below the package's. */
export function buildFolder(): string {
  return path.join(packageRoot(), path.dirname(ADDON_FILE), '..');
}

export function buildInfoFile(): string {
  return path.join(buildFolder(), 'build-info.json');
}

/** SHA-256 over names and contents of all that the addon is compiled from (its tests are not part of it). */
export async function hashSources(): Promise<string> {
  const root = packageRoot();
  const files = (await filesBelow(path.join(root, 'binding')))
    .map((file) => path.relative(root, file))
    .filter((file) => !file.startsWith(path.join('binding', 'test')));
  const hash = createHash('sha256');
  for (const file of [...files.sort(), 'CMakeLists.txt']) {
    const content = await readFile(path.join(root, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

async function readBuildInfo(): Promise<BuildInfo | undefined> {
  try {
    const info = JSON.parse(await readFile(buildInfoFile(), 'utf8')) as Partial<BuildInfo>;
    return { llama: null, ...info } as BuildInfo; // files of older versions lack it
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Why an addon no longer fits; undefined when it does. */
async function staleness(info: BuildInfo): Promise<string | undefined> {
  if (info.packageVersion !== packageVersion()) {
    return `it was built for version ${info.packageVersion}, this is ${packageVersion()}`;
  }
  if (info.sourceHash !== (await hashSources())) return 'its source has changed since it was built';
  if (!(await isFile(path.join(info.libtorch.root, 'lib', 'libtorch_cpu.so')))) {
    return `the libtorch it was built with has gone: ${info.libtorch.root}`;
  }
  const named = environmentConfig().libtorch;
  if (named === undefined) return undefined;
  const { root } = await inspectLibtorch(named.path);
  return root === info.libtorch.root
    ? undefined
    : `${named.variable} names another libtorch than ${info.libtorch.root}`;
}

/**
 * Whether the package's own addon is built and up to date. Nothing is loaded.
 * @throws KfdError ERR_KFD_LIBTORCH_NOT_FOUND when a variable names an unusable libtorch
 */
export async function addonState(): Promise<AddonState> {
  const file = path.join(packageRoot(), ADDON_FILE);
  const info = await readBuildInfo();
  if (!(await isFile(file))) return { state: 'missing', why: 'it is not built', file, info };
  if (info === undefined) return { state: 'stale', why: 'its last build was not finished', file, info };
  const why = await staleness(info);
  if (why !== undefined) return { state: 'stale', why, file, info };
  return { state: 'current', why: 'it was built from this source', file, info };
}
