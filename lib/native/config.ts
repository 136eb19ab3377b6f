import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';

/**
 * The only reader of environment variables (design section 3). Everything is read at call time, so tests and callers
 * may change the environment between calls.
 */

function variable(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === '' ? undefined : value;
}

function flag(name: string): boolean {
  const value = variable(name);
  return value !== undefined && !['0', 'false', 'no', 'off'].includes(value.toLowerCase());
}

export interface EnvironmentConfig {
  /** KFD_LIBTORCH, LIBTORCH or Torch_DIR: an explicit libtorch folder, with the variable it came from. */
  libtorch: { path: string; variable: string } | undefined;
  /** KFD_USE_PYTORCH=1: take the torch of the Python on PATH even without an active environment. */
  usePyTorch: boolean;
  /** VIRTUAL_ENV or CONDA_PREFIX: the active Python environment. */
  pythonEnvironment: string | undefined;
  /** KFD_PYTHON: the Python interpreter to ask; default python3. */
  python: string;
  /** KFD_SKIP_TORCH_VERSION_CHECK=1 */
  skipTorchVersionCheck: boolean;
  /** KFD_CACHE_DIR, else the XDG cache folder of kfd-native. */
  cacheDirectory: string;
  /** KFD_NODE_LLAMA_CPP: the folder of an installed node-llama-cpp, used instead of looking for one. */
  nodeLlama: string | undefined;
  /** KFD_LANGUAGE_MODEL: the GGUF file of the default language model, used instead of the cached one. */
  languageModel: string | undefined;
  /** KFD_ADDON: a built addon to load instead of the package's own. */
  addon: string | undefined;
  /** KFD_LANES, KFD_THREADS_PER_LANE: defaults of the engine. */
  lanes: string | undefined;
  threadsPerLane: string | undefined;
  /** CI=true: a skipped suite is a failure, no progress bars. */
  ci: boolean;
  /** NO_COLOR / FORCE_COLOR */
  noColor: boolean;
  forceColor: boolean;
}

export function environmentConfig(): EnvironmentConfig {
  const libtorchVariable = ['KFD_LIBTORCH', 'LIBTORCH', 'Torch_DIR'].find(
    (name) => variable(name) !== undefined,
  );
  return {
    libtorch:
      libtorchVariable === undefined
        ? undefined
        : { path: variable(libtorchVariable) ?? '', variable: libtorchVariable },
    usePyTorch: flag('KFD_USE_PYTORCH'),
    pythonEnvironment: variable('VIRTUAL_ENV') ?? variable('CONDA_PREFIX'),
    python: variable('KFD_PYTHON') ?? 'python3',
    skipTorchVersionCheck: flag('KFD_SKIP_TORCH_VERSION_CHECK'),
    cacheDirectory: variable('KFD_CACHE_DIR') ?? envPaths('kfd-native', { suffix: '' }).cache,
    nodeLlama: variable('KFD_NODE_LLAMA_CPP'),
    languageModel: variable('KFD_LANGUAGE_MODEL'),
    addon: variable('KFD_ADDON'),
    lanes: variable('KFD_LANES'),
    threadsPerLane: variable('KFD_THREADS_PER_LANE'),
    ci: flag('CI'),
    noColor: variable('NO_COLOR') !== undefined,
    forceColor: variable('FORCE_COLOR') !== undefined,
  };
}

/** Every KFD_* variable that is set and not empty: the command line's second source of options (lib/cli/config.ts). */
export function optionVariables(): ReadonlyMap<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[0].startsWith('KFD_') && entry[1] !== undefined && entry[1] !== '',
  );
  return new Map(entries);
}

/** The environment for child processes: the current one with changes; undefined removes a variable. */
export function childEnvironment(changes: Record<string, string | undefined> = {}): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) Reflect.deleteProperty(environment, name);
    else environment[name] = value;
  }
  return environment;
}

let cachedRoot: string | undefined;

/** The folder that holds this package's package.json (dist/ and test builds lie at different depths below it). */
export function packageRoot(): string {
  if (cachedRoot !== undefined) return cachedRoot;
  let folder = path.dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const manifest = path.join(folder, 'package.json');
    if (existsSync(manifest)) {
      const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string };
      if (name === 'kfd-native') return (cachedRoot = folder);
    }
    const parent = path.dirname(folder);
    if (parent === folder) throw new Error(`package.json of kfd-native not found above ${import.meta.url}`);
    folder = parent;
  }
}

/** The version in package.json. */
export function packageVersion(): string {
  const text = readFileSync(path.join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
