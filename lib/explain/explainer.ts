import { KfdError, throwIfAborted } from '../errors.js';
import type { DetectedModel, FaceDetection } from '../kfd/detection.js';
import { promptsOf } from '../kfd/evidence.js';
import type { Answer, FileIdentity } from './answerDocument.js';
import type { Backend } from './backend.js';
import { chooseBackend } from './chooseBackend.js';
import { Dialogue } from './dialogue.js';
import { evidenceOfFace } from './evidence.js';
import {
  resolveOptions,
  type ExplainerInfo,
  type ExplainerOptions,
  type ResolvedOptions,
} from './options.js';
import type { Speaker } from './speaker.js';

export interface OpenOptions {
  /** The detection's `model`, to be named in the answers. */
  detector?: Pick<DetectedModel, 'name' | 'sha256'> | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Answers questions about detected faces. The verdict, the score and the regions come from the detector; a language
 * model puts them into words, and what it says is compared with them (docs/explain.md).
 */
export class Explainer {
  private readonly dialogues = new Set<Dialogue>();
  /** Dialogues with a sequence of the language model, also those being opened. */
  private places = 0;
  private readonly opening = new Set<Promise<Speaker>>();
  private ending: Promise<void> | undefined;

  private constructor(
    private readonly options: ResolvedOptions,
    private readonly backend: Backend | undefined,
    private readonly fallback: string | null,
  ) {}

  /**
   * Loads the language model and the explainer's adapter, where there are any and they are wanted.
   *
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT; ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_MISMATCH
   *   (the explainer's manifest); ERR_KFD_LLAMA_MISSING, ERR_KFD_LLAMA_MISMATCH (node-llama-cpp);
   *   ERR_KFD_LANGUAGE_MODEL (the GGUF or its adapter); ERR_KFD_ADDON_MISSING, ERR_KFD_ADDON_LOAD
   */
  static async load(options: ExplainerOptions = {}): Promise<Explainer> {
    const resolved = resolveOptions(options);
    const { backend, fallback } = await chooseBackend(resolved);
    return new Explainer(resolved, backend, fallback);
  }

  info(): ExplainerInfo {
    const { decoding, maxRounds, check, dialogues, threads, contextSize } = this.options;
    const nothing = { languageModel: null, adapter: null, prompts: null, detector: null, nodeLlama: null };
    return {
      conditioning: this.backend?.conditioning ?? 'sentences',
      fallback: this.fallback,
      decoding,
      maxRounds,
      check,
      dialogues,
      threads,
      contextSize,
      ...(this.backend?.info ?? nothing),
    };
  }

  /**
   * Begins a dialogue about one of the `faces` of a detection. Soft prompts need the very object that `detect` gave
   * with `evidence: true`; with conditioning 'auto' other faces are answered from the evidence alone, and the dialogue's
   * `fallback` says why.
   *
   * @throws KfdError ERR_KFD_BUSY (all places taken), ERR_KFD_INVALID_ARGUMENT (no face; with conditioning 'prompts' a
   *   face without soft prompts), ERR_KFD_FILE_WRITE (temporary folder), ERR_KFD_ABORTED, ERR_KFD_DISPOSED
   */
  async open(face: FaceDetection, { detector, signal }: OpenOptions = {}): Promise<Dialogue> {
    this.checkUsable();
    throwIfAborted(signal);
    const evidence = evidenceOfFace(face);
    const request = { evidence, prompts: promptsOf(face), signal };
    const objection = this.backend?.objection(request) ?? null;
    if (objection !== null && this.options.conditioning === 'prompts') {
      throw new KfdError('ERR_KFD_INVALID_ARGUMENT', `No soft prompts for this face: ${objection}.`, {
        hint: 'Detect with `evidence: true` and give the face as it comes; or load with conditioning `auto`.',
      });
    }
    const backend = objection === null ? this.backend : undefined;
    const speaker = backend === undefined ? undefined : await this.takePlace(() => backend.open(request));
    const dialogue: Dialogue = new Dialogue({
      evidence,
      speaker,
      fallback: objection ?? this.fallback,
      models: this.modelsOf(backend, detector),
      options: this.options,
      onDispose: () => {
        this.dialogues.delete(dialogue);
        if (speaker !== undefined) this.places -= 1;
      },
    });
    this.dialogues.add(dialogue);
    return dialogue;
  }

  /** Ends all dialogues, aborting what is being answered, and frees the language model. Idempotent. */
  dispose(): Promise<void> {
    this.ending ??= this.end();
    return this.ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private async takePlace(open: () => Promise<Speaker>): Promise<Speaker> {
    if (this.places >= this.options.dialogues) {
      throw new KfdError(
        'ERR_KFD_BUSY',
        `All ${this.options.dialogues} dialogues of this explainer are open.`,
        {
          hint: 'Dispose of one, or load the explainer with more `dialogues`.',
        },
      );
    }
    this.places += 1;
    const opening = this.openSpeaker(open);
    this.opening.add(opening);
    try {
      return await opening;
    } catch (error) {
      this.places -= 1;
      throw error;
    } finally {
      this.opening.delete(opening);
    }
  }

  /** A speaker that comes when the explainer is being disposed of is let go at once. */
  private async openSpeaker(open: () => Promise<Speaker>): Promise<Speaker> {
    const speaker = await open();
    if (this.ending !== undefined) await speaker.dispose();
    this.checkUsable();
    return speaker;
  }

  private modelsOf(backend: Backend | undefined, detector: OpenOptions['detector']): Answer['models'] {
    const known = backend?.info;
    const identity = (file: FileIdentity | null | undefined): FileIdentity | null =>
      file === null || file === undefined ? null : { name: file.name, sha256: file.sha256 };
    return {
      detector: identity(detector ?? known?.detector),
      languageModel: identity(known?.languageModel),
      adapter: known?.adapter ?? null,
      prompts: identity(known?.prompts),
    };
  }

  private async end(): Promise<void> {
    await Promise.allSettled(this.opening);
    await Promise.all([...this.dialogues].map((dialogue) => dialogue.dispose()));
    await this.backend?.dispose();
  }

  private checkUsable(): void {
    if (this.ending === undefined) return;
    throw new KfdError('ERR_KFD_DISPOSED', 'The explainer was disposed.', { hint: 'Load a new one.' });
  }
}
