import { KfdError } from '../../errors.js';
import type { NodeLlama as FoundNodeLlama } from '../../setup/llama/types.js';
import { importNodeLlama, type Context, type Llama, type Model, type NodeLlama } from './nodeLlama.js';

export interface LanguageModelOptions {
  nodeLlama: FoundNodeLlama;
  /** The GGUF file. */
  file: string;
  adapter?: { file: string; scale: number } | undefined;
  /** Sequences of the context: dialogues at the same time. */
  dialogues: number;
  /** Tokens a dialogue. */
  contextSize: number;
  threads: number;
  gpu: false | 'auto';
}

/** The last lines of llama.cpp's log, for error messages; none of it is printed. */
class RecentLog {
  private lines: string[] = [];

  readonly add = (level: string, message: string): void => {
    if (!['fatal', 'error', 'warn'].includes(level)) return;
    this.lines = [...this.lines, message.trim()].slice(-3);
  };

  /** ": the last lines", or nothing. */
  take(): string {
    const text = this.lines.join('; ');
    this.lines = [];
    return text === '' ? '' : `: ${text}`;
  }
}

/** A started llama.cpp, before any model is in it. */
export interface StartedLlama {
  readonly module: NodeLlama;
  readonly llama: Llama;
  readonly log: RecentLog;
}

/** @throws KfdError ERR_KFD_LLAMA_MISSING when it does not start */
export async function startLlama({
  nodeLlama,
  threads,
  gpu,
}: Pick<LanguageModelOptions, 'nodeLlama' | 'threads' | 'gpu'>): Promise<StartedLlama> {
  const log = new RecentLog();
  try {
    const module = await importNodeLlama(nodeLlama.entry);
    const llama = await module.getLlama({
      gpu,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      maxThreads: threads,
      logger: log.add,
    });
    return { module, llama, log };
  } catch (cause) {
    throw new KfdError(
      'ERR_KFD_LLAMA_MISSING',
      `node-llama-cpp in ${nodeLlama.folder} does not start: ${(cause as Error).message}${log.take()}`,
      { cause, hint: '`kfd-native doctor` shows what is installed, `kfd-native setup` installs it again.' },
    );
  }
}

/** The libraries that node-llama-cpp has loaded, so that our binding opens the same ones. */
export function binariesOf(
  { llama }: StartedLlama,
  { binaries, folder }: FoundNodeLlama,
): { folder: string; variant: string; release: string } {
  const variant = llama.gpu === false ? 'cpu' : llama.gpu;
  const found = binaries.find((each) => each.variant === variant);
  if (found !== undefined) return found;
  throw new KfdError(
    'ERR_KFD_LLAMA_MISSING',
    `node-llama-cpp in ${folder} runs its ${variant} libraries, but only ${binaries.map((each) => each.variant).join(', ')} are known.`,
    { hint: 'Load the explainer with gpu: false.' },
  );
}

/** A GGUF model with one context for several dialogues, through node-llama-cpp's public API. */
export class LanguageModel {
  private constructor(
    readonly started: StartedLlama,
    readonly model: Model,
    readonly context: Context,
  ) {}

  /** @throws KfdError ERR_KFD_LANGUAGE_MODEL for a file that llama.cpp refuses */
  static async load(started: StartedLlama, options: LanguageModelOptions): Promise<LanguageModel> {
    const { file, adapter, dialogues, contextSize, threads } = options;
    let loading = file;
    try {
      const model = await started.llama.loadModel({ modelPath: file });
      loading = adapter?.file ?? file;
      const context = await model.createContext({
        sequences: dialogues,
        contextSize,
        threads,
        flashAttention: false, // saved prefixes depend on it: the same on both sides
        ...(adapter === undefined
          ? {}
          : { lora: { adapters: [{ filePath: adapter.file, scale: adapter.scale }] } }),
      });
      return new LanguageModel(started, model, context);
    } catch (cause) {
      throw new KfdError(
        'ERR_KFD_LANGUAGE_MODEL',
        `llama.cpp refuses ${loading}: ${(cause as Error).message}${started.log.take()}`,
        {
          cause,
          hint: 'Is it a complete GGUF file of a text model, and is there memory enough? `kfd-native setup` fetches the default one again.',
        },
      );
    }
  }

  async dispose(): Promise<void> {
    await this.started.llama.dispose(); // with its models and contexts
  }
}
