import type { Backend, OpenRequest } from '../backend.js';
import type { FileIdentity } from '../answerDocument.js';
import type { ResolvedOptions } from '../options.js';
import type { Speaker } from '../speaker.js';
import { textEvidence } from '../textEvidence.js';
import type { NodeLlama as FoundNodeLlama } from '../../setup/llama/types.js';
import { createChatMl } from './chatMl.js';
import { createSpeaker } from './createSpeaker.js';
import { LanguageModel, startLlama } from './languageModel.js';
import type { ChatWrapper } from './nodeLlama.js';

export interface TextBackendParts {
  nodeLlama: FoundNodeLlama;
  languageModel: FileIdentity & { path: string };
  options: ResolvedOptions;
}

/**
 * How the model's family writes a chat: node-llama-cpp's own wrapper for it, never the Jinja template inside the file,
 * which is a program from whoever made the file. ChatML is our own where the model wants no BOS: see createChatMl.
 */
function chatWrapperOf({ started, model }: LanguageModel): ChatWrapper {
  const { module } = started;
  const wrapper = module.resolveChatWrapper(model, { noJinja: true, warningLogs: false });
  const isChatMl = wrapper === undefined || wrapper.wrapperName === 'ChatML';
  return isChatMl && !model.tokens.shouldPrependBosToken
    ? createChatMl(module)
    : (wrapper ?? createChatMl(module));
}

/** Any GGUF model, with the evidence as a system text before the dialogue. */
export class TextBackend implements Backend {
  readonly conditioning = 'text';
  readonly info: Backend['info'];

  private constructor(
    private readonly language: LanguageModel,
    private readonly wrapper: ChatWrapper,
    private readonly parts: TextBackendParts,
  ) {
    const { nodeLlama, languageModel } = parts;
    this.info = {
      languageModel: { name: languageModel.name, sha256: languageModel.sha256 },
      adapter: null,
      prompts: null,
      detector: null,
      nodeLlama: {
        version: nodeLlama.version,
        folder: nodeLlama.folder,
        variant: language.started.llama.gpu === false ? 'cpu' : language.started.llama.gpu,
      },
    };
  }

  /** @throws KfdError ERR_KFD_LLAMA_MISSING, ERR_KFD_LANGUAGE_MODEL */
  static async load(parts: TextBackendParts): Promise<TextBackend> {
    const { nodeLlama, languageModel, options } = parts;
    const started = await startLlama({ nodeLlama, ...options });
    try {
      const language = await LanguageModel.load(started, { nodeLlama, file: languageModel.path, ...options });
      return new TextBackend(language, chatWrapperOf(language), parts);
    } catch (error) {
      await started.llama.dispose();
      throw error;
    }
  }

  objection(): null {
    return null;
  }

  open({ evidence }: OpenRequest): Promise<Speaker> {
    return createSpeaker({
      conditioning: this.conditioning,
      language: this.language,
      sequence: this.language.context.getSequence(),
      wrapper: this.wrapper,
      system: textEvidence(evidence),
      evidence,
      options: this.parts.options,
    });
  }

  dispose(): Promise<void> {
    return this.language.dispose();
  }
}
