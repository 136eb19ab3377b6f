import { environmentConfig } from '../native/config.js';
import type { BuildInfo } from './addonState.js';
import { carriedParts } from './carried.js';
import { readExplainerLock } from './explainerLock.js';
import { findLanguageModel, setupLanguageModel, type LanguageModel } from './languageModel.js';
import { findHeaders, type LlamaHeaders } from './llama/headers.js';
import { setupNodeLlama, type ResolvedNodeLlama } from './llama/install.js';
import { resolveNodeLlama } from './llama/resolve.js';
import { requireLlamaGlibc } from './platform.js';
import { silentReporter, type SetupReporter } from './reporter.js';

/** What the explainer needs besides the addon. */
export interface ExplainerParts {
  nodeLlama: ResolvedNodeLlama;
  headers: LlamaHeaders;
  languageModel: LanguageModel;
}

export interface SetupExplainerOptions {
  offline?: boolean;
  from?: string | undefined;
  force?: boolean;
  reporter?: SetupReporter;
  signal?: AbortSignal | undefined;
}

/**
 * Finds or fetches node-llama-cpp with the headers of its llama.cpp, and the default language model.
 * @throws KfdError those of the parts; ERR_KFD_LLAMA_MISSING where their libraries cannot load
 */
export async function setupExplainer(options: SetupExplainerOptions = {}): Promise<ExplainerParts> {
  requireLlamaGlibc();
  const reporter = options.reporter ?? silentReporter;
  const { npmCache, languageModel: modelFile } = await carriedParts(options.from);
  const { offline = false, force = false, signal } = options;
  const common = { offline, force, reporter, signal };
  const { nodeLlama, headers } = await setupNodeLlama({ ...common, npmCache });
  const variants = nodeLlama.binaries.map(({ variant }) => variant).join(', ');
  reporter.note(`node-llama-cpp ${nodeLlama.version} (${nodeLlama.source}: ${nodeLlama.why}), ${variants}`);
  const languageModel = await setupLanguageModel({ ...common, from: modelFile });
  reporter.note(`language model ${languageModel.name} (${languageModel.source})`);
  return { nodeLlama, headers, languageModel };
}

/** The headers that are there already, for a set-up that fetches nothing for the explainer. */
export async function presentHeaders(): Promise<LlamaHeaders | undefined> {
  const { nodeLlama } = await readExplainerLock();
  const found = await findHeaders(environmentConfig().cacheDirectory, nodeLlama);
  return typeof found === 'string' ? undefined : found;
}

/**
 * Whether everything that the explainer needs is there. Nothing is fetched or loaded.
 * @param addon what the addon was built with
 * @throws KfdError ERR_KFD_LLAMA_MISSING, ERR_KFD_LLAMA_MISMATCH, ERR_KFD_LANGUAGE_MODEL for what variables name
 */
export async function explainerState(
  addon: BuildInfo | undefined,
): Promise<{ state: 'missing' | 'current'; why: string }> {
  const missing: string[] = [];
  if ((await resolveNodeLlama()) === undefined) missing.push('node-llama-cpp');
  if ((await presentHeaders()) === undefined) missing.push('the headers of llama.cpp');
  if ((await findLanguageModel()) === undefined) missing.push('the language model');
  if (addon !== undefined && addon.llama === null) missing.push('its part of the addon');
  if (missing.length === 0) return { state: 'current', why: 'all its parts are there' };
  return { state: 'missing', why: `not set up: ${missing.join(', ')}` };
}
