import { rm } from 'node:fs/promises';
import path from 'node:path';
import { environmentConfig, type EnvironmentConfig } from '../../native/config.js';
import { publishCacheFolder, removeLeftovers, requireSpace, withCacheLock } from '../cacheFolder.js';
import { readExplainerLock, type NodeLlamaPin } from '../explainerLock.js';
import { createPrivateFolder, temporaryName } from '../files.js';
import { silentReporter, type SetupReporter } from '../reporter.js';
import { installedFolder, sealNodeLlama } from './cache.js';
import { setupHeaders, type LlamaHeaders } from './headers.js';
import { inspectNodeLlama } from './inspect.js';
import { installWithNpm } from './npm.js';
import { findNodeLlama } from './resolve.js';
import type { NodeLlama, SkippedNodeLlama } from './types.js';

export interface SetupNodeLlamaOptions {
  environment?: EnvironmentConfig;
  pin?: NodeLlamaPin;
  packageFolder?: string;
  offline?: boolean;
  /** A copy of an npm cache that holds the packages. */
  npmCache?: string | undefined;
  /** Install again what the cache holds. */
  force?: boolean;
  reporter?: SetupReporter;
  signal?: AbortSignal | undefined;
}

/** The node-llama-cpp that is used, and why those before it were not. */
export interface ResolvedNodeLlama extends NodeLlama {
  skipped: SkippedNodeLlama[];
}

export interface NodeLlamaSetup {
  nodeLlama: ResolvedNodeLlama;
  headers: LlamaHeaders;
}

/** 85 MB unpacked, as much for a copied npm cache, and room to breathe. */
const NEEDED_BYTES = 250e6;

/** Installs beside the final place, checks, seals and moves there: half of it can never be taken for a whole. */
async function installIntoCache(
  cacheDirectory: string,
  pin: NodeLlamaPin,
  options: SetupNodeLlamaOptions,
): Promise<NodeLlama> {
  const reporter = options.reporter ?? silentReporter;
  const target = installedFolder(cacheDirectory, pin);
  for (const folder of [path.dirname(path.dirname(target)), path.dirname(target)])
    await createPrivateFolder(folder);
  await requireSpace(cacheDirectory, NEEDED_BYTES);
  const work = temporaryName(target);
  await createPrivateFolder(work);
  try {
    reporter.note(`installing node-llama-cpp ${pin.version} into the cache with npm (85 MB)`);
    const { offline = false, npmCache, signal } = options;
    await installWithNpm(work, { offline, npmCache, reporter, signal });
    await inspectNodeLlama(work, pin);
    await sealNodeLlama(work, pin);
    await publishCacheFolder(work, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const why = npmCacheReason(options.npmCache) ?? 'installed by npm';
  return { ...(await inspectNodeLlama(target, pin)), source: 'npm', why };
}

function npmCacheReason(npmCache: string | undefined): string | undefined {
  return npmCache === undefined ? undefined : `--from names ${npmCache}`;
}

/**
 * Finds node-llama-cpp or installs the pinned one into the cache, and puts the headers of its llama.cpp beside it. Two
 * runs at once: one works, the other waits and takes the result.
 * @throws KfdError ERR_KFD_LLAMA_MISSING, ERR_KFD_LLAMA_MISMATCH, ERR_KFD_DOWNLOAD, ERR_KFD_DIGEST, ERR_KFD_OFFLINE,
 *   ERR_KFD_FILE_WRITE, ERR_KFD_TOOL_MISSING, ERR_KFD_ABORTED
 */
export async function setupNodeLlama(options: SetupNodeLlamaOptions = {}): Promise<NodeLlamaSetup> {
  const environment = options.environment ?? environmentConfig();
  const pin = options.pin ?? (await readExplainerLock()).nodeLlama;
  const reporter = options.reporter ?? silentReporter;
  const { cacheDirectory } = environment;
  return withCacheLock(cacheDirectory, { reporter, signal: options.signal }, async () => {
    await removeLeftovers(path.dirname(installedFolder(cacheDirectory, pin)), reporter);
    const { chosen, skipped } = await findNodeLlama({ ...options, environment, pin, thorough: true });
    const replaceCache = options.force === true && chosen?.source === 'cache';
    if (replaceCache) skipped.push({ source: 'cache', why: '--force installs it again' });
    const nodeLlama =
      chosen === undefined || replaceCache ? await installIntoCache(cacheDirectory, pin, options) : chosen;
    const force = options.force === true;
    const headers = await setupHeaders(nodeLlama, {
      cacheDirectory,
      pin,
      force,
      reporter,
      signal: options.signal,
    });
    return { nodeLlama: { ...nodeLlama, skipped }, headers };
  });
}
