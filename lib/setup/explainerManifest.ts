import path from 'node:path';
import { ManifestFields } from './manifestFields.js';
import {
  MATURITIES,
  parseFile,
  parseKind,
  type ManifestFile,
  type ManifestPaths,
  type Maturity,
} from './modelManifest.js';

/**
 * The manifest of an explainer, kind `explainer`: a TorchScript file that turns a detector's maps into soft prompts, the
 * adapter beside it, and which detector and language model both were trained for.
 */

/** How the text around the soft prompts reads; a change of it is a new version. */
export const PREFIX_TEMPLATE = 'kfd.prefix/1';

/** Visual token and score token stand beside the forgery prompts. */
const OTHER_SOFT_ROWS = 2;

export interface ExplainedDetector {
  name: string;
  sha256: string;
}

export interface ManifestLanguageModel {
  name: string;
  /** The GGUF file, by its name in the package. */
  file: string;
  bytes: number;
  sha256: string;
  /** Where it comes from: a requirement of PyPI, `name==version`. */
  package: string;
  /** Of the wheel. */
  packageSha256: string;
  licence: string;
}

/** A LoRA adapter in GGUF, in the manifest's folder. */
export interface ManifestAdapter {
  file: string;
  bytes: number;
  sha256: string;
  scale: number;
}

export interface ManifestExplainer {
  template: typeof PREFIX_TEMPLATE;
  detector: ExplainedDetector;
  languageModel: ManifestLanguageModel;
  adapter: ManifestAdapter;
  /** Forgery prompts, without visual token and score token. */
  promptTokens: number;
  /** Width of every soft row, the language model's own. */
  width: number;
  /** Tokens that stand for the soft rows in a token list: visual token, forgery prompts, score token. */
  placeholders: readonly number[];
}

export interface ExplainerManifest extends ManifestFile, ManifestPaths {
  kind: 'explainer';
  maturity: Maturity;
  explainer: ManifestExplainer;
  /** Absolute path of the adapter. */
  adapterPath: string;
}

function parseDetector(fields: ManifestFields): ExplainedDetector {
  return { name: fields.text('name'), sha256: fields.sha256('sha256') };
}

function parseLanguageModel(fields: ManifestFields): ManifestLanguageModel {
  return {
    name: fields.text('name'),
    file: fields.fileName('file'),
    bytes: fields.integer('bytes', 1),
    sha256: fields.sha256('sha256'),
    package: fields.match('package', /^[A-Za-z0-9][\w.-]*==[0-9][\w.!+-]*$/, 'a requirement NAME==VERSION'),
    packageSha256: fields.sha256('packageSha256'),
    licence: fields.text('licence'),
  };
}

function parseAdapter(fields: ManifestFields): ManifestAdapter {
  return {
    file: fields.fileName('file'),
    bytes: fields.integer('bytes', 1),
    sha256: fields.sha256('sha256'),
    scale: fields.number('scale', 0, 100),
  };
}

function parseExplainer(fields: ManifestFields): ManifestExplainer {
  const promptTokens = fields.integer('promptTokens', 1, 1024);
  return {
    template: fields.oneOf('template', [PREFIX_TEMPLATE]),
    detector: parseDetector(fields.object('detector')),
    languageModel: parseLanguageModel(fields.object('languageModel')),
    adapter: parseAdapter(fields.object('adapter')),
    promptTokens,
    width: fields.integer('width', 1, 65536),
    placeholders: fields.distinctIntegers('placeholders', promptTokens + OTHER_SOFT_ROWS),
  };
}

/**
 * Checks parsed JSON against the schema `kfd.model/1`, kind `explainer`.
 * @returns undefined for a manifest of another kind
 * @throws KfdError ERR_KFD_MODEL_MANIFEST naming the field, what was expected and what came
 */
export function parseExplainerManifest(json: unknown, manifestPath: string): ExplainerManifest | undefined {
  const fields = new ManifestFields(json, manifestPath);
  const kind = parseKind(fields);
  if (kind !== 'explainer') return undefined;
  const file = parseFile(fields);
  const explainer = parseExplainer(fields.object('explainer'));
  const folder = path.dirname(manifestPath);
  return {
    ...file,
    kind,
    maturity: fields.oneOf('maturity', MATURITIES),
    explainer,
    manifestPath,
    modelPath: path.join(folder, file.file),
    adapterPath: path.join(folder, explainer.adapter.file),
  };
}
