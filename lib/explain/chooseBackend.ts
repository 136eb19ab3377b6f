import { stat } from 'node:fs/promises';
import path from 'node:path';
import { KfdError, type ErrorCode } from '../errors.js';
import { digestFile } from '../setup/digest.js';
import { findLanguageModel } from '../setup/languageModel.js';
import { resolveNodeLlama } from '../setup/llama/resolve.js';
import type { NodeLlama } from '../setup/llama/types.js';
import {
  defaultModel,
  readExplainerManifest,
  verifyAdapter,
  type ExplainerManifest,
} from '../setup/models.js';
import type { FileIdentity } from './answerDocument.js';
import type { Backend } from './backend.js';
import { PromptsBackend } from './llama/promptsBackend.js';
import { TextBackend } from './llama/textBackend.js';
import type { ResolvedOptions } from './options.js';

/** What leads the dialogues. */
export interface Choice {
  /** Undefined: the evidence's own sentences. */
  backend: Backend | undefined;
  /** Why 'auto' did not take soft prompts; null where nothing fell back. */
  fallback: string | null;
}

type LanguageModelFile = FileIdentity & { path: string };

async function requireNodeLlama(): Promise<NodeLlama> {
  const found = await resolveNodeLlama();
  if (found !== undefined) return found;
  throw new KfdError('ERR_KFD_LLAMA_MISSING', 'node-llama-cpp is not installed.', {
    hint: '`kfd-native setup` installs it; conditioning `sentences` needs none.',
  });
}

async function languageModelAt(file: string): Promise<LanguageModelFile> {
  const absolute = path.resolve(file);
  const found = await stat(absolute).catch(() => undefined);
  if (found?.isFile() !== true) {
    throw new KfdError('ERR_KFD_LANGUAGE_MODEL', `Expected a GGUF file at ${absolute}, but there is none.`, {
      hint: 'Check the path; without one the default language model is taken.',
    });
  }
  const { sha256 } = await digestFile(absolute);
  return { path: absolute, name: path.basename(absolute), sha256 };
}

async function requireLanguageModel({ model }: ResolvedOptions): Promise<LanguageModelFile> {
  if (model !== undefined) return languageModelAt(model);
  const found = await findLanguageModel();
  if (found !== undefined) return found;
  throw new KfdError('ERR_KFD_LANGUAGE_MODEL', 'The default language model is not on this machine.', {
    hint: '`kfd-native setup` fetches it (98 MB); the option `model` takes any other GGUF file.',
  });
}

async function requireExplainer({ explainer }: ResolvedOptions): Promise<ExplainerManifest> {
  const manifest =
    explainer === undefined ? await defaultModel('explainer') : await readExplainerManifest(explainer);
  if (manifest !== undefined) return manifest;
  throw new KfdError('ERR_KFD_MODEL_NOT_FOUND', 'This package ships no explainer.', {
    hint: 'Give the manifest of one with the option `explainer`.',
  });
}

function checkTrainedFor(manifest: ExplainerManifest, found: LanguageModelFile): void {
  const { name, sha256 } = manifest.explainer.languageModel;
  if (found.sha256 === sha256) return;
  throw new KfdError(
    'ERR_KFD_LANGUAGE_MODEL',
    `${manifest.manifestPath} was trained for ${name} (SHA-256 ${sha256}), but ${found.path} has ${found.sha256}.`,
    { hint: 'Take that file, or conditioning `text`, which works with any language model.' },
  );
}

async function promptsBackend(options: ResolvedOptions): Promise<Backend> {
  const manifest = await requireExplainer(options);
  const nodeLlama = await requireNodeLlama();
  const languageModel = await requireLanguageModel(options);
  checkTrainedFor(manifest, languageModel);
  await verifyAdapter(manifest);
  return PromptsBackend.load({ nodeLlama, languageModel, manifest, options });
}

async function textBackend(options: ResolvedOptions): Promise<Backend> {
  const nodeLlama = await requireNodeLlama();
  return TextBackend.load({ nodeLlama, languageModel: await requireLanguageModel(options), options });
}

/** Parts that may be absent from a machine; with 'auto' they are done without, and the reason is told. */
const ABSENT: readonly ErrorCode[] = [
  'ERR_KFD_LLAMA_MISSING',
  'ERR_KFD_LLAMA_MISMATCH',
  'ERR_KFD_ADDON_MISSING',
  'ERR_KFD_ADDON_LOAD',
];
/** The same for the parts that nobody named: the package's own explainer and language model. */
const ABSENT_DEFAULTS: readonly ErrorCode[] = ['ERR_KFD_LANGUAGE_MODEL', 'ERR_KFD_MODEL_NOT_FOUND'];

async function orSentences(load: Promise<Backend>, forgivable: readonly ErrorCode[]): Promise<Choice> {
  try {
    return { backend: await load, fallback: null };
  } catch (error) {
    if (!(error instanceof KfdError) || !forgivable.includes(error.code)) throw error;
    const hint = error.hint === undefined ? '' : ` ${error.hint}`;
    return { backend: undefined, fallback: `${error.message}${hint}` };
  }
}

/** Whether a file is the very language model that the default or the named explainer was trained for. */
async function isTrainedModel(options: ResolvedOptions, model: string): Promise<boolean> {
  const manifest =
    options.explainer === undefined
      ? await defaultModel('explainer')
      : await readExplainerManifest(options.explainer);
  const { sha256 } = await languageModelAt(model);
  return manifest?.explainer.languageModel.sha256 === sha256;
}

async function automaticBackend(options: ResolvedOptions): Promise<Choice> {
  const { model, explainer } = options;
  if (model === undefined) {
    const forgivable = explainer === undefined ? [...ABSENT, ...ABSENT_DEFAULTS] : ABSENT;
    return orSentences(promptsBackend(options), forgivable);
  }
  const trained = await isTrainedModel(options, model);
  return orSentences(trained ? promptsBackend(options) : textBackend(options), ABSENT);
}

/**
 * Loads what the option `conditioning` asks for.
 *
 * @throws KfdError see Explainer.load
 */
export async function chooseBackend(options: ResolvedOptions): Promise<Choice> {
  switch (options.conditioning) {
    case 'auto':
      return automaticBackend(options);
    case 'prompts':
      return { backend: await promptsBackend(options), fallback: null };
    case 'text':
      return { backend: await textBackend(options), fallback: null };
    case 'sentences':
      return { backend: undefined, fallback: null };
  }
}
