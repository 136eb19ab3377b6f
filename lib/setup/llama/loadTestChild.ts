import { KfdError, toKfdError } from '../../errors.js';
import { LlamaPrefix, openLlama } from '../../native/llm.js';
import { findLanguageModel } from '../languageModel.js';
import type { LlamaTestReport } from './loadTest.js';
import { resolveNodeLlama } from './resolve.js';

/** Runs in a process of its own (loadTest.ts): llama.cpp ends the process when an assertion of its own fails. */
async function run(): Promise<LlamaTestReport> {
  const hint = 'Run `npx kfd-native setup`.';
  const binaries = (await resolveNodeLlama())?.binaries[0];
  if (binaries === undefined)
    throw new KfdError('ERR_KFD_LLAMA_MISSING', 'node-llama-cpp is not installed', { hint });
  const model = await findLanguageModel();
  if (model === undefined)
    throw new KfdError('ERR_KFD_LANGUAGE_MODEL', 'The language model is not set up', { hint });
  const started = performance.now();
  const { folder, variant } = binaries;
  const library = openLlama({ folder, variant });
  const options = { sequences: 1, contextSize: 256, threads: 1, flashAttention: false, gpuLayers: 0 };
  const prefix = await LlamaPrefix.load({ library, model: model.path, ...options });
  try {
    if (prefix.tokenize('face').length === 0) throw new Error('The language model has no tokens for a word.');
    return {
      ok: true,
      version: library.version,
      variant,
      devices: [...library.devices],
      width: prefix.width,
      milliseconds: Math.round(performance.now() - started),
    };
  } finally {
    await prefix.close();
  }
}

const report = await run().catch((error: unknown): LlamaTestReport => ({
  ok: false,
  error: toKfdError(error).toJSON(),
}));
process.stdout.write(JSON.stringify(report));
