import path from 'node:path';
import { KfdError } from '../../errors.js';
import { environmentConfig, packageRoot, type EnvironmentConfig } from '../../native/config.js';
import { readExplainerLock, type NodeLlamaPin } from '../explainerLock.js';
import { isFolder } from '../files.js';
import { readCachedNodeLlama } from './cache.js';
import { inspectNodeLlama } from './inspect.js';
import type { NodeLlama, SkippedNodeLlama } from './types.js';

/**
 * node-llama-cpp is no dependency of this package (a plain install of it fetches 730 MB for other platforms), so it is
 * looked for. First hit wins: the folder that KFD_NODE_LLAMA_CPP names; the one that Node finds for this package, if it
 * is of the pinned version; the managed cache, which `setup` fills.
 */

export interface FindNodeLlamaOptions {
  /** Tests give their own; otherwise the process's environment, the package's lock file and folder. */
  environment?: EnvironmentConfig;
  pin?: NodeLlamaPin;
  packageFolder?: string;
  /** Compare the cached libraries with their hashes (setup and doctor); otherwise with their sizes. */
  thorough?: boolean;
}

export interface FoundNodeLlama {
  chosen: NodeLlama | undefined;
  skipped: SkippedNodeLlama[];
}

/** Who names a folder must never get another one, so what is wrong with it is an error. */
async function explicitNodeLlama(folder: string, pin: NodeLlamaPin): Promise<NodeLlama> {
  try {
    const why = 'KFD_NODE_LLAMA_CPP names it';
    return { ...(await inspectNodeLlama(folder, pin)), source: 'explicit', why };
  } catch (error) {
    if (!(error instanceof KfdError)) throw error;
    throw new KfdError(error.code, `KFD_NODE_LLAMA_CPP: ${error.message}`, {
      cause: error,
      hint: `${error.hint ?? ''} Without the variable another one is looked for.`.trim(),
    });
  }
}

/** The first that stands in a node_modules at or above the package, as Node looks for it. */
async function nodeResolvedNodeLlama(packageFolder: string, pin: NodeLlamaPin): Promise<NodeLlama | string> {
  for (let folder = packageFolder; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', 'node-llama-cpp');
    if (await isFolder(candidate)) {
      try {
        const why = `Node finds it from ${packageFolder}`;
        return { ...(await inspectNodeLlama(candidate, pin)), source: 'node', why };
      } catch (error) {
        if (error instanceof KfdError) return error.message;
        throw error;
      }
    }
    if (path.dirname(folder) === folder) return `not installed for ${packageFolder}`;
  }
}

/**
 * Looks for node-llama-cpp without fetching anything, and says why the sources before it do not serve.
 * @throws KfdError ERR_KFD_LLAMA_MISSING, ERR_KFD_LLAMA_MISMATCH when KFD_NODE_LLAMA_CPP names an unusable folder
 */
export async function findNodeLlama(options: FindNodeLlamaOptions = {}): Promise<FoundNodeLlama> {
  const environment = options.environment ?? environmentConfig();
  const pin = options.pin ?? (await readExplainerLock()).nodeLlama;
  const skipped: SkippedNodeLlama[] = [];

  const named = environment.nodeLlama;
  if (named !== undefined) return { chosen: await explicitNodeLlama(named, pin), skipped };
  skipped.push({ source: 'explicit', why: 'KFD_NODE_LLAMA_CPP is not set' });

  const resolved = await nodeResolvedNodeLlama(options.packageFolder ?? packageRoot(), pin);
  if (typeof resolved !== 'string') return { chosen: resolved, skipped };
  skipped.push({ source: 'node', why: resolved });

  const cached = await readCachedNodeLlama(environment.cacheDirectory, pin, options.thorough === true);
  if (typeof cached !== 'string') {
    const why = 'the cache holds the pinned version';
    return { chosen: { ...cached, source: 'cache', why }, skipped };
  }
  skipped.push({ source: 'cache', why: cached });
  return { chosen: undefined, skipped };
}

/**
 * The node-llama-cpp that the explainer uses.
 * @returns undefined when there is none
 * @throws KfdError those of {@link findNodeLlama}
 */
export async function resolveNodeLlama(options: FindNodeLlamaOptions = {}): Promise<NodeLlama | undefined> {
  return (await findNodeLlama(options)).chosen;
}
