import { KfdError } from '../../errors.js';
import type { FacePrompts } from '../../kfd/evidence.js';
import { LlamaPrefix, openLlama } from '../../native/llm.js';
import type { ExplainerManifest } from '../../setup/explainerManifest.js';
import type { NodeLlama as FoundNodeLlama } from '../../setup/llama/types.js';
import type { FileIdentity } from '../answerDocument.js';
import type { Backend, OpenRequest } from '../backend.js';
import type { ResolvedOptions } from '../options.js';
import { evidenceRows, prefixText, type PrefixText } from '../prefix.js';
import type { Speaker } from '../speaker.js';
import { createChatMl, type ChatPrefix } from './chatMl.js';
import { createSpeaker } from './createSpeaker.js';
import { binariesOf, LanguageModel, startLlama, type StartedLlama } from './languageModel.js';
import type { Token } from './nodeLlama.js';
import { PrefixStates, type PrefixRows } from './prefixStates.js';
import { SoftPrefix } from './softPrefix.js';

export interface PromptsBackendParts {
  nodeLlama: FoundNodeLlama;
  languageModel: FileIdentity & { path: string };
  manifest: ExplainerManifest;
  options: ResolvedOptions;
}

/** Positions of a prefix: about 60 tokens of text and 11 rows. */
const PREFIX_POSITIONS = 256;

/** Opens the libraries that node-llama-cpp runs on and loads model and adapter into our own binding. */
async function loadPrefix(started: StartedLlama, parts: PromptsBackendParts): Promise<LlamaPrefix> {
  const { nodeLlama, languageModel, manifest, options } = parts;
  const { folder, variant } = binariesOf(started, nodeLlama);
  const prefix = await LlamaPrefix.load({
    library: openLlama({ folder, variant }),
    model: languageModel.path,
    adapter: { file: manifest.adapterPath, scale: manifest.explainer.adapter.scale },
    sequences: options.dialogues,
    contextSize: PREFIX_POSITIONS,
    threads: options.threads,
    flashAttention: false,
  });
  const { width } = manifest.explainer;
  if (prefix.width === width) return prefix;
  await prefix.close();
  throw new KfdError(
    'ERR_KFD_LANGUAGE_MODEL',
    `${manifest.manifestPath} expects a language model of width ${width}, but ${languageModel.path} has ${prefix.width}.`,
    { hint: 'Give the language model that the explainer was trained for.' },
  );
}

/**
 * The explainer's own language model, with the forgery prompts of each face at the start of its dialogue (spec/kfd.md
 * 10): our binding decodes text and soft rows once, node-llama-cpp loads the state and leads the dialogue.
 */
export class PromptsBackend implements Backend {
  readonly conditioning = 'prompts';
  readonly info: Backend['info'];

  private readonly states: PrefixStates;

  private constructor(
    private readonly language: LanguageModel,
    private readonly prefix: LlamaPrefix,
    private readonly parts: PromptsBackendParts,
  ) {
    const { nodeLlama, languageModel, manifest } = parts;
    const { adapter, detector, placeholders } = manifest.explainer;
    const files = {
      languageModel: languageModel.sha256,
      adapter: adapter.sha256,
      scale: adapter.scale,
      prompts: manifest.sha256,
    };
    this.states = new PrefixStates(prefix, placeholders, files, parts.options.dialogues);
    this.info = {
      languageModel: { name: languageModel.name, sha256: languageModel.sha256 },
      adapter: { name: adapter.file, sha256: adapter.sha256, scale: adapter.scale },
      prompts: { name: manifest.name, sha256: manifest.sha256, maturity: manifest.maturity },
      detector,
      nodeLlama: {
        version: nodeLlama.version,
        folder: nodeLlama.folder,
        variant: binariesOf(language.started, nodeLlama).variant,
      },
    };
  }

  /**
   * @throws KfdError ERR_KFD_LLAMA_MISSING, ERR_KFD_LLAMA_MISMATCH, ERR_KFD_LANGUAGE_MODEL, ERR_KFD_ADDON_MISSING,
   *   ERR_KFD_ADDON_LOAD
   */
  static async load(parts: PromptsBackendParts): Promise<PromptsBackend> {
    const { nodeLlama, languageModel, manifest, options } = parts;
    const started = await startLlama({ nodeLlama, ...options });
    let prefix: LlamaPrefix | undefined;
    try {
      prefix = await loadPrefix(started, parts); // first: it checks the files before llama.cpp sees them
      const { scale } = manifest.explainer.adapter;
      const adapter = { file: manifest.adapterPath, scale };
      const file = languageModel.path;
      const language = await LanguageModel.load(started, { nodeLlama, file, adapter, ...options });
      return new PromptsBackend(language, prefix, parts);
    } catch (error) {
      await prefix?.close();
      await started.llama.dispose();
      throw error;
    }
  }

  objection({ evidence, prompts }: OpenRequest): string | null {
    const { sha256 } = this.parts.manifest;
    if (prompts === undefined) return 'the detection was made without `evidence: true`';
    if (prompts.explainerSha256 !== sha256) return 'the detection was made with another explainer';
    return evidence.extent === null ? 'the face was not aligned, so its regions are unknown' : null;
  }

  async open(request: OpenRequest): Promise<Speaker> {
    const { evidence } = request;
    const text = prefixText(evidence);
    const rows = this.rowsOf(request.prompts, evidence.score);
    const state = await this.states.stateOf(text, rows, request.signal);
    const sequence = this.language.context.getSequence();
    try {
      const guard = new SoftPrefix(sequence, state);
      await guard.ensure();
      return await createSpeaker({
        conditioning: this.conditioning,
        language: this.language,
        sequence,
        wrapper: createChatMl(this.language.started.module, this.chatPrefix(text)),
        guard,
        evidence,
        options: this.parts.options,
      });
    } catch (error) {
      await sequence.dispose();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    await this.prefix.close();
    await this.language.dispose();
  }

  private chatPrefix(text: PrefixText): ChatPrefix {
    const [visual, ...evidence] = this.parts.manifest.explainer.placeholders as Token[];
    const { model } = this.language;
    return {
      text,
      visual: model.detokenize(visual === undefined ? [] : [visual], true),
      evidence: model.detokenize(evidence, true),
    };
  }

  private rowsOf(prompts: FacePrompts | undefined, score: number): PrefixRows {
    if (prompts === undefined) {
      throw new KfdError('ERR_KFD_INTERNAL', 'A face without soft prompts reached the language model.');
    }
    const rows = { visual: prompts.visual.slice(), evidence: evidenceRows(prompts, score) };
    if (this.parts.options.ablatePrompts) {
      rows.visual.fill(0);
      rows.evidence.fill(0);
    }
    return rows;
  }
}
