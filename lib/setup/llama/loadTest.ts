import { runLoadTest, type LoadTestReport } from '../loadTest.js';

export interface LlamaTestPassed {
  ok: true;
  /** What libllama says of itself. */
  version: string;
  /** Of the libraries that were opened: `cpu`, `cuda` ... */
  variant: string;
  devices: string[];
  /** Floats of an embedding row of the default language model. */
  width: number;
  milliseconds: number;
}

export type LlamaTestReport = LoadTestReport<LlamaTestPassed>;

/**
 * Opens node-llama-cpp's libllama through the addon and loads the default language model, in a child process.
 * @throws KfdError ERR_KFD_LLAMA_MISSING (also: the addon was built without it), ERR_KFD_LLAMA_MISMATCH,
 *   ERR_KFD_LANGUAGE_MODEL, ERR_KFD_ADDON_LOAD
 */
export function testLlama(signal?: AbortSignal): Promise<LlamaTestPassed> {
  return runLoadTest<LlamaTestPassed>(new URL('./loadTestChild.js', import.meta.url), signal);
}
