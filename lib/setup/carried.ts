import path from 'node:path';
import { KfdError } from '../errors.js';
import { readExplainerLock } from './explainerLock.js';
import { isFile, isFolder } from './files.js';
import { platformPins, readLock } from './libtorch/lock.js';

/** What was fetched on another host and carried here, by part; a part that is not there is looked for as usual. */
export interface CarriedParts {
  /** The torch wheel. */
  libtorch?: string;
  /** A copy of an npm cache with the packages of node-llama-cpp. */
  npmCache?: string;
  /** The wheel of the language model, or its GGUF file. */
  languageModel?: string;
}

/** Name of the folder with the npm cache, below the folder that --from names. */
const NPM_CACHE = 'npm-cache';

/**
 * Sorts out what --from names: one file, told apart by its name, or a folder that holds some of them.
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND when it is none of these
 */
export async function carriedParts(from: string | undefined): Promise<CarriedParts> {
  if (from === undefined) return {};
  const { languageModel } = await readExplainerLock();
  const torchWheel = platformPins(await readLock()).wheel.file;
  const modelFiles = [languageModel.file, languageModel.wheel.file];
  if (await isFile(from))
    return modelFiles.includes(path.basename(from)) ? { languageModel: from } : { libtorch: from };
  const parts: CarriedParts = {};
  if (await isFile(path.join(from, torchWheel))) parts.libtorch = path.join(from, torchWheel);
  if (await isFolder(path.join(from, NPM_CACHE))) parts.npmCache = path.join(from, NPM_CACHE);
  for (const name of modelFiles)
    if (await isFile(path.join(from, name))) parts.languageModel ??= path.join(from, name);
  if (Object.keys(parts).length > 0) return parts;
  const expected = [torchWheel, ...modelFiles, `${NPM_CACHE}/`].join(', ');
  throw new KfdError(
    'ERR_KFD_FILE_NOT_FOUND',
    `--from: expected a file, or a folder with any of ${expected}, at ${path.resolve(from)}`,
    { hint: 'Fetch them where there is a network, as docs/setup.md says.' },
  );
}
