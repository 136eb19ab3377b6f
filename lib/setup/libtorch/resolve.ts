import { KfdError } from '../../errors.js';
import { environmentConfig, type EnvironmentConfig } from '../../native/config.js';
import { silentReporter, type SetupReporter } from '../reporter.js';
import { readCachedLibtorch } from './cache.js';
import { explicitLibtorch } from './explicit.js';
import { installLibtorch } from './install.js';
import { platformPins, readLock, type LibtorchLock } from './lock.js';
import { pythonLibtorch } from './python.js';
import type { Libtorch, ResolvedLibtorch, SkippedSource } from './types.js';

/**
 * One resolver for build and doctor. First hit wins: explicit folder, Python's torch when active or asked for, managed
 * cache; and, in `setup` only, the pinned wheel by pip and then the official archive if one is pinned.
 */

export interface FindOptions {
  /** --libtorch */
  libtorch?: string | undefined;
  /** Tests give their own; otherwise the process's environment and the package's lock file. */
  environment?: EnvironmentConfig;
  lock?: LibtorchLock;
  signal?: AbortSignal | undefined;
}

export interface FoundLibtorch {
  chosen: Libtorch | undefined;
  skipped: SkippedSource[];
}

/**
 * Looks for a libtorch without downloading anything.
 * @throws KfdError when a folder that the user names, or Python's torch that he asks for, cannot be used
 */
export async function findLibtorch(options: FindOptions = {}): Promise<FoundLibtorch> {
  const environment = options.environment ?? environmentConfig();
  const lock = options.lock ?? (await readLock());
  const skipped: SkippedSource[] = [];

  const explicit = await explicitLibtorch(options.libtorch, environment, lock);
  if (explicit !== undefined) return { chosen: explicit, skipped };
  skipped.push({
    source: 'explicit',
    why: 'none of --libtorch, KFD_LIBTORCH, LIBTORCH and Torch_DIR is set',
  });

  const python = await pythonLibtorch(environment, lock, options.signal);
  if (typeof python !== 'string') return { chosen: python, skipped };
  skipped.push({ source: 'python', why: python });

  const cached = await cachedLibtorch(environment, lock);
  if (typeof cached !== 'string') return { chosen: cached, skipped };
  skipped.push({ source: 'cache', why: cached });
  return { chosen: undefined, skipped };
}

async function cachedLibtorch(
  environment: EnvironmentConfig,
  lock: LibtorchLock,
): Promise<Libtorch | string> {
  const cached = await readCachedLibtorch(environment.cacheDirectory, platformPins(lock).wheel);
  return typeof cached === 'string'
    ? cached
    : { ...cached, source: 'cache', why: 'the cache holds the pinned version' };
}

/**
 * The same, for those who cannot go on without one.
 * @throws KfdError ERR_KFD_LIBTORCH_NOT_FOUND with every way out, and those of {@link findLibtorch}
 */
export async function resolveLibtorch(options: FindOptions = {}): Promise<ResolvedLibtorch> {
  const { chosen, skipped } = await findLibtorch(options);
  if (chosen !== undefined) return { ...chosen, skipped };
  throw notFound(skipped);
}

export function notFound(skipped: readonly SkippedSource[]): KfdError {
  const reasons = skipped.map(({ source, why }) => `  ${source}: ${why}`).join('\n');
  return new KfdError('ERR_KFD_LIBTORCH_NOT_FOUND', `No usable libtorch:\n${reasons}`, {
    hint:
      '`npx kfd-native setup` fetches one; or `setup --from WHEEL` without a network; or `setup --libtorch DIR` or ' +
      'KFD_LIBTORCH=DIR for one of your own; or KFD_USE_PYTORCH=1 for the torch of your Python.',
  });
}

export interface SetupOptions extends FindOptions {
  offline?: boolean;
  from?: string | undefined;
  force?: boolean;
  reporter?: SetupReporter;
}

/**
 * Finds a libtorch or installs the pinned one into the cache; the only caller that may download.
 * @throws KfdError those of {@link findLibtorch} and of installing
 */
export async function setupLibtorch(options: SetupOptions = {}): Promise<ResolvedLibtorch> {
  const environment = options.environment ?? environmentConfig();
  const lock = options.lock ?? (await readLock());
  if (options.from !== undefined && options.libtorch !== undefined) {
    throw new KfdError('ERR_KFD_USAGE', '--from and --libtorch exclude each other', {
      hint: '--from names a wheel to install, --libtorch a folder to use as it is.',
    });
  }
  const skipped: SkippedSource[] = [];
  let replaceCache = options.force === true;
  if (options.from === undefined) {
    const found = await findLibtorch({ ...options, environment, lock });
    replaceCache &&= found.chosen === undefined || found.chosen.source === 'cache';
    if (found.chosen !== undefined && !replaceCache) return { ...found.chosen, skipped: found.skipped };
    skipped.push(...found.skipped);
    if (found.chosen !== undefined) skipped.push({ source: 'cache', why: '--force installs it again' });
  } else {
    for (const source of ['explicit', 'python'] as const)
      skipped.push({ source, why: '--from names a wheel' });
  }
  const installed = await installLibtorch(platformPins(lock), {
    cacheDirectory: environment.cacheDirectory,
    python: environment.python,
    offline: options.offline === true,
    from: options.from,
    force: replaceCache,
    reporter: options.reporter ?? silentReporter,
    signal: options.signal,
  });
  if (installed.source === 'archive') skipped.push({ source: 'wheel', why: 'pip could not fetch it' });
  return { ...installed, skipped };
}
