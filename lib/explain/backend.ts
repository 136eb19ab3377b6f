import type { FacePrompts } from '../kfd/evidence.js';
import type { Evidence } from './evidence.js';
import type { ExplainerInfo } from './options.js';
import type { Speaker } from './speaker.js';

/** What a face brings to a dialogue. */
export interface OpenRequest {
  evidence: Evidence;
  prompts: FacePrompts | undefined;
  signal?: AbortSignal | undefined;
}

/** A loaded language model that can lead dialogues, one a sequence of its context. */
export interface Backend {
  readonly conditioning: Speaker['conditioning'];
  readonly info: Pick<ExplainerInfo, 'languageModel' | 'adapter' | 'prompts' | 'detector' | 'nodeLlama'>;
  /** Why this face cannot be talked about; null where it can. */
  objection(request: OpenRequest): string | null;
  /** @throws KfdError those of decoding the prefix, ERR_KFD_ABORTED */
  open(request: OpenRequest): Promise<Speaker>;
  /** Frees the language model; nothing may be running. */
  dispose(): Promise<void>;
}
