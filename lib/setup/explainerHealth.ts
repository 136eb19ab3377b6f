import { environmentConfig } from '../native/config.js';
import type { AddonState } from './addonState.js';
import { presentHeaders } from './explainer.js';
import { findLanguageModel, type LanguageModel } from './languageModel.js';
import type { LlamaHeaders } from './llama/headers.js';
import { testLlama, type LlamaTestPassed } from './llama/loadTest.js';
import { findNodeLlama } from './llama/resolve.js';
import type { NodeLlama, SkippedNodeLlama } from './llama/types.js';
import { defaultModel, verifyAdapter, verifyModel, type Maturity } from './models.js';
import { attempt, type Outcome } from './outcome.js';

/** What `doctor` finds out about the explainer. Verdicts and maps need nothing of it. */
export interface ExplainerHealth {
  /** Everything that answers of the language model need works. */
  usable: boolean;
  nodeLlama: Outcome<{ chosen: NodeLlama | null; skipped: SkippedNodeLlama[] }>;
  /** null: not set up */
  headers: LlamaHeaders | null;
  /** Whether the addon was compiled with those headers; null when there is no addon. */
  addonHasLlama: boolean | null;
  /** null: not set up */
  languageModel: Outcome<LanguageModel | null>;
  /** The package's own prompt network and adapter; null: it ships none. */
  prompts: Outcome<{ name: string; path: string; maturity: Maturity } | null>;
  /** null: not tried, since a part is missing */
  loadTest: Outcome<LlamaTestPassed> | null;
}

async function checkPrompts(
  signal: AbortSignal | undefined,
): Promise<{ name: string; path: string; maturity: Maturity } | null> {
  const manifest = await defaultModel('explainer');
  if (manifest === undefined) return null;
  await verifyModel(manifest, { signal });
  await verifyAdapter(manifest, { signal });
  return { name: manifest.name, path: manifest.modelPath, maturity: manifest.maturity };
}

/**
 * Repeats the decisions of `setup` for the explainer and tests what is there.
 * @throws KfdError ERR_KFD_ABORTED; every other problem is part of the result
 */
export async function examineExplainer(
  addon: Outcome<AddonState>,
  signal: AbortSignal | undefined,
): Promise<ExplainerHealth> {
  const nodeLlama = await attempt(async () => {
    const { chosen, skipped } = await findNodeLlama({ thorough: true });
    return { chosen: chosen ?? null, skipped };
  });
  const languageModel = await attempt(async () => (await findLanguageModel({ signal })) ?? null);
  const prompts = await attempt(() => checkPrompts(signal));
  const info = addon.ok ? addon.value.info : undefined;
  const hasParts =
    nodeLlama.ok && nodeLlama.value.chosen !== null && languageModel.ok && languageModel.value !== null;
  const loadTest = hasParts ? await attempt(() => testLlama(signal)) : null;
  const unknown = info === undefined || environmentConfig().addon !== undefined;
  return {
    usable: loadTest?.ok === true && prompts.ok && prompts.value !== null,
    nodeLlama,
    headers: (await presentHeaders()) ?? null,
    addonHasLlama: unknown ? null : info.llama !== null,
    languageModel,
    prompts,
    loadTest,
  };
}
