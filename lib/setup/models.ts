import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { KfdError, toKfdError } from '../errors.js';
import { packageRoot } from '../native/config.js';
import { digestFile, type DigestOptions, type FileDigest } from './digest.js';
import { isFile, systemErrorCode, writeTextFile } from './files.js';
import { parseExplainerManifest, type ExplainerManifest } from './explainerManifest.js';
import {
  MANIFEST_SUFFIX,
  MODEL_SCHEMA,
  parseManifest,
  type ManifestContent,
  type ManifestFile,
  type ManifestPaths,
  type ModelManifest,
} from './modelManifest.js';

export type { ExplainerManifest, ManifestExplainer } from './explainerManifest.js';
export type {
  ManifestFace,
  ManifestInput,
  ManifestKfd,
  ManifestKind,
  ManifestPoint,
  ManifestVit,
  Maturity,
  ModelManifest,
} from './modelManifest.js';

/** The models that weights/manifest.json always names; it may also name an explainer. */
export type DefaultModelKind = 'detector' | 'face';

const INDEX_SCHEMA = 'kfd.models/1';

/** `NAME.kfd.json` for `NAME.pt`, in the same folder; a manifest's own path comes back unchanged. */
export function manifestPathOf(modelOrManifest: string): string {
  if (modelOrManifest.endsWith(MANIFEST_SUFFIX)) return modelOrManifest;
  const { dir, name } = path.parse(modelOrManifest);
  return path.join(dir, name + MANIFEST_SUFFIX);
}

async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') {
      throw new KfdError('ERR_KFD_MODEL_NOT_FOUND', `No model manifest at ${file}`, {
        cause: error,
        hint: 'Check the path; the default models lie in the folder weights/ of the package.',
      });
    }
    throw new KfdError('ERR_KFD_FILE_READ', `Cannot read ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new KfdError('ERR_KFD_MODEL_MANIFEST', `${file}: expected JSON: ${(error as Error).message}`, {
      cause: error,
      hint: '`kfd-native model manifest FILE` writes a valid manifest.',
    });
  }
}

/** The JSON of a manifest, of any kind; undefined when the model file exists but has no manifest beside it. */
async function readManifestJson(
  modelOrManifest: string,
): Promise<{ json: unknown; manifestPath: string } | undefined> {
  const manifestPath = path.resolve(manifestPathOf(modelOrManifest));
  const isManifest = modelOrManifest.endsWith(MANIFEST_SUFFIX);
  if (!isManifest && !(await isFile(manifestPath))) {
    if (await isFile(modelOrManifest)) return undefined;
    throw new KfdError('ERR_KFD_MODEL_NOT_FOUND', `No model file at ${path.resolve(modelOrManifest)}`, {
      hint: 'Check the path; without --model the default model of the package is taken.',
    });
  }
  return { json: await readJson(manifestPath), manifestPath };
}

/** A manifest that was found by its model file must describe that file. */
function checkDescribes({ manifestPath, file }: ManifestFile & ManifestPaths, given: string): void {
  if (given.endsWith(MANIFEST_SUFFIX) || path.basename(given) === file) return;
  throw new KfdError(
    'ERR_KFD_MODEL_MANIFEST',
    `${manifestPath}: field "file": expected "${path.basename(given)}", received "${file}"`,
    { hint: 'The manifest describes another file: give that file, or write a manifest for this one.' },
  );
}

/**
 * Reads the manifest of a model that takes pictures.
 * @param modelOrManifest path of `NAME.pt` or of `NAME.kfd.json`
 * @returns undefined when the model file exists but has no manifest beside it
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND (neither file exists), ERR_KFD_MODEL_MANIFEST (malformed),
 *   ERR_KFD_MODEL_MISMATCH (an explainer)
 */
export async function readModelManifest(modelOrManifest: string): Promise<ModelManifest | undefined> {
  const found = await readManifestJson(modelOrManifest);
  if (found === undefined) return undefined;
  const { json, manifestPath } = found;
  const content = parseManifest(json, manifestPath);
  const manifest = {
    ...content,
    manifestPath,
    modelPath: path.join(path.dirname(manifestPath), content.file),
  };
  checkDescribes(manifest, modelOrManifest);
  return manifest;
}

/**
 * Reads the manifest of an explainer, with the absolute paths of its files.
 * @param modelOrManifest path of `NAME.pt` or of `NAME.kfd.json`
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST (missing or malformed), ERR_KFD_MODEL_MISMATCH
 *   (another kind of model)
 */
export async function readExplainerManifest(modelOrManifest: string): Promise<ExplainerManifest> {
  const found = await readManifestJson(modelOrManifest);
  if (found === undefined) {
    throw new KfdError(
      'ERR_KFD_MODEL_MANIFEST',
      `${modelOrManifest} has no manifest: expected ${manifestPathOf(modelOrManifest)} beside it`,
      { hint: 'An explainer says in its manifest which detector and language model it was trained for.' },
    );
  }
  const manifest = parseExplainerManifest(found.json, found.manifestPath);
  if (manifest === undefined) {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `${found.manifestPath}: expected kind "explainer", received a model that takes pictures`,
      { hint: 'Give the explainer; `kfd-native model info FILE` shows what a file is.' },
    );
  }
  checkDescribes(manifest, modelOrManifest);
  return manifest;
}

/** Any manifest, whatever it describes. @throws KfdError those of both readers */
export async function readAnyManifest(modelOrManifest: string): Promise<ModelManifest | ExplainerManifest> {
  const found = await readManifestJson(modelOrManifest);
  const isExplainer =
    found !== undefined && parseExplainerManifest(found.json, found.manifestPath) !== undefined;
  return isExplainer ? readExplainerManifest(modelOrManifest) : requireModelManifest(modelOrManifest);
}

/**
 * The same, but a model without a manifest is refused: its hash, its preprocessing and its licence are unknown.
 * @throws KfdError ERR_KFD_MODEL_MANIFEST and those of {@link readModelManifest}
 */
export async function requireModelManifest(modelOrManifest: string): Promise<ModelManifest> {
  const manifest = await readModelManifest(modelOrManifest);
  if (manifest !== undefined) return manifest;
  throw new KfdError(
    'ERR_KFD_MODEL_MANIFEST',
    `${modelOrManifest} has no manifest: expected ${manifestPathOf(modelOrManifest)} beside it`,
    {
      hint:
        'A TorchScript file is a program. If you trust where it comes from, write its manifest with ' +
        '`kfd-native model manifest FILE`, or load it once with --trust-model.',
    },
  );
}

/**
 * Compares the model file with its manifest, size first and then SHA-256, reading it as a stream.
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_DIGEST (shows both values)
 */
export async function verifyModel(
  manifest: Pick<ModelManifest, 'manifestPath' | 'modelPath' | 'bytes' | 'sha256'>,
  options: DigestOptions = {},
): Promise<FileDigest> {
  const hint =
    'The file was changed or damaged. Fetch it again, or, if the change is yours, write a new manifest.';
  const found = await stat(manifest.modelPath).catch((error: unknown) => {
    throw new KfdError(
      'ERR_KFD_MODEL_NOT_FOUND',
      `${manifest.manifestPath} names ${manifest.modelPath}, which is not there`,
      {
        cause: error,
        hint: 'Put the model file beside its manifest.',
      },
    );
  });
  if (found.size !== manifest.bytes) {
    throw new KfdError(
      'ERR_KFD_MODEL_DIGEST',
      `${manifest.modelPath}: expected ${manifest.bytes} bytes, received ${found.size}`,
      { hint },
    );
  }
  const digest = await digestFile(manifest.modelPath, options);
  if (digest.sha256 !== manifest.sha256) {
    throw new KfdError(
      'ERR_KFD_MODEL_DIGEST',
      `${manifest.modelPath}: expected SHA-256 ${manifest.sha256}, received ${digest.sha256}`,
      { hint },
    );
  }
  return digest;
}

/**
 * Compares an explainer's adapter with its manifest.
 * @throws KfdError ERR_KFD_LANGUAGE_MODEL (missing, or another file; shows both values)
 */
export async function verifyAdapter(
  { manifestPath, adapterPath, explainer: { adapter } }: ExplainerManifest,
  options: DigestOptions = {},
): Promise<void> {
  const { bytes, sha256 } = adapter;
  try {
    await verifyModel({ manifestPath, modelPath: adapterPath, bytes, sha256 }, options);
  } catch (error) {
    const problem = toKfdError(error);
    if (!['ERR_KFD_MODEL_NOT_FOUND', 'ERR_KFD_MODEL_DIGEST'].includes(problem.code)) throw problem;
    throw new KfdError('ERR_KFD_LANGUAGE_MODEL', problem.message, {
      cause: problem,
      hint: 'Fetch the adapter again; it lies beside the manifest of its explainer.',
    });
  }
}

/**
 * The manifest of a model that the package ships, found through weights/manifest.json.
 * @returns undefined for 'explainer' where the package ships none
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST
 */
export async function defaultModel(kind: DefaultModelKind): Promise<ModelManifest>;
export async function defaultModel(kind: 'explainer'): Promise<ExplainerManifest | undefined>;
export async function defaultModel(
  kind: DefaultModelKind | 'explainer',
): Promise<ModelManifest | ExplainerManifest | undefined> {
  const indexPath = path.join(packageRoot(), 'weights', 'manifest.json');
  const index = (await readJson(indexPath)) as Partial<Record<string, unknown>> | null;
  if (index?.['schema'] !== INDEX_SCHEMA) {
    throw new KfdError(
      'ERR_KFD_MODEL_MANIFEST',
      `${indexPath}: field "schema": expected "${INDEX_SCHEMA}", received ${JSON.stringify(index?.['schema'])}`,
      { hint: 'Install the package again.' },
    );
  }
  const file = index[kind];
  if (kind === 'explainer' && file === undefined) return undefined;
  if (typeof file !== 'string' || !/^[^/\\\0]+\.kfd\.json$/.test(file)) {
    throw new KfdError(
      'ERR_KFD_MODEL_MANIFEST',
      `${indexPath}: field "${kind}": expected NAME${MANIFEST_SUFFIX}, received ${JSON.stringify(file)}`,
      { hint: 'Install the package again.' },
    );
  }
  const manifestPath = path.join(path.dirname(indexPath), file);
  return kind === 'explainer' ? readExplainerManifest(manifestPath) : requireModelManifest(manifestPath);
}

/** What only the author of a model knows; the rest is measured. */
export type ManifestDraft = Omit<
  ManifestContent,
  'schema' | 'file' | 'bytes' | 'sha256' | 'training' | 'metrics'
>;

/**
 * Writes `NAME.kfd.json` beside a model file, with its size and SHA-256.
 * @param overwrite replace a manifest that is already there
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_USAGE (there is one already), ERR_KFD_FILE_WRITE
 */
export async function writeModelManifest(
  file: string,
  draft: ManifestDraft,
  overwrite: boolean,
): Promise<ModelManifest> {
  const modelPath = path.resolve(file);
  if (!(await isFile(modelPath))) {
    throw new KfdError('ERR_KFD_MODEL_NOT_FOUND', `No model file at ${modelPath}`, {
      hint: 'Check the path.',
    });
  }
  const manifestPath = manifestPathOf(modelPath);
  if (!overwrite && (await isFile(manifestPath))) {
    throw new KfdError('ERR_KFD_USAGE', `${manifestPath} exists already`, {
      hint: 'Give --force to replace it.',
    });
  }
  const { face, ...known } = draft;
  const content = {
    schema: MODEL_SCHEMA,
    ...known,
    file: path.basename(modelPath),
    ...(await digestFile(modelPath)),
    ...(face === undefined ? {} : { face: face.raw }),
  };
  parseManifest(content, manifestPath); // never write what could not be read back
  await writeTextFile(manifestPath, `${JSON.stringify(content, null, 2)}\n`);
  return requireModelManifest(manifestPath);
}
