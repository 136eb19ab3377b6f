/**
 * The part of node-llama-cpp 3.22.1 that this package uses, in our own words: the package is no dependency (it comes
 * through `kfd-native setup` or from the host application), so its types cannot be imported. A test compiles this file
 * against the real declarations.
 */

export type Token = number & { __token: never };

export type Tokenizer = (text: string, specialTokens?: boolean) => Token[];

/** Text of which parts may be special tokens; everything else is tokenised as plain text. */
export interface LlamaText {
  tokenize(tokenizer: Tokenizer): Token[];
}

export interface SpecialTokensText {
  readonly value: string;
}

export type ChatItem =
  { type: 'system'; text: string } | { type: 'user'; text: string } | { type: 'model'; response: string[] };

export interface ContextState {
  contextText: LlamaText;
  stopGenerationTriggers: LlamaText[];
}

export interface ChatWrapper {
  readonly wrapperName: string;
  generateContextState(options: { chatHistory: readonly ChatItem[] }): ContextState;
}

export interface TokenCounts {
  usedInputTokens: number;
  usedOutputTokens: number;
}

export interface Sequence {
  readonly disposed: boolean;
  readonly contextSize: number;
  readonly contextTokens: readonly Token[];
  readonly tokenMeter: TokenCounts;
  compareContextTokens(tokens: Token[]): { firstDifferentIndex: number };
  adaptStateToTokens(tokens: Token[], allowShift?: boolean): Promise<void>;
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: (Token | [token: Token, options: { generateNext?: { probabilities?: boolean } }])[],
  ): Promise<(undefined | { next: { probabilities?: Map<Token, number> } })[]>;
  loadStateFromFile(file: string, risk: { acceptRisk: true }): Promise<void>;
  dispose(): Promise<void>;
}

export interface Context {
  readonly contextSize: number;
  readonly sequencesLeft: number;
  getSequence(): Sequence;
  dispose(): Promise<void>;
}

export interface Model {
  readonly gpuLayers: number;
  readonly trainContextSize: number;
  readonly tokenizer: Tokenizer;
  readonly tokens: { readonly shouldPrependBosToken: boolean };
  tokenize(text: string, specialTokens?: boolean): Token[];
  detokenize(tokens: readonly Token[], specialTokens?: boolean): string;
  createContext(options: {
    sequences: number;
    contextSize: number;
    threads: number;
    flashAttention: boolean;
    lora?: { adapters: { filePath: string; scale?: number }[] };
  }): Promise<Context>;
  dispose(): Promise<void>;
}

/** Opaque: a compiled grammar. */
export interface Grammar {
  readonly grammar: string;
}

export interface Llama {
  readonly gpu: 'metal' | 'cuda' | 'vulkan' | false;
  loadModel(options: { modelPath: string }): Promise<Model>;
  createGrammar(options: { grammar: string }): Promise<Grammar>;
  dispose(): Promise<void>;
}

export interface PromptOptions {
  temperature: number;
  maxTokens: number;
  /** Without it node-llama-cpp lowers the probability of repeated tokens even at temperature 0. */
  repeatPenalty: false;
  trimWhitespaceSuffix: boolean;
  signal?: AbortSignal;
  onTextChunk?: (text: string) => void;
  grammar?: Grammar;
}

export interface ChatSession {
  setChatHistory(history: ChatItem[]): void;
  promptWithMeta(
    prompt: string,
    options: PromptOptions,
  ): Promise<{ responseText: string; stopReason: string }>;
  dispose(options?: { disposeSequence?: boolean }): void;
}

export interface ChatSessionOptions {
  contextSequence: Sequence;
  chatWrapper: ChatWrapper;
  autoDisposeSequence: boolean;
}

export interface LlamaOptions {
  gpu: 'auto' | false;
  /** Never compile anything. */
  build: 'never';
  skipDownload: true;
  progressLogs: false;
  maxThreads: number;
  logger: (level: string, message: string) => void;
}

/** The module itself. */
export interface NodeLlama {
  getLlama(options: LlamaOptions): Promise<Llama>;
  readonly LlamaChatSession: new (options: ChatSessionOptions) => ChatSession;
  readonly ChatWrapper: abstract new () => object;
  readonly LlamaText: (values: readonly (string | SpecialTokensText)[]) => LlamaText;
  readonly SpecialTokensText: new (text: string) => SpecialTokensText;
  resolveChatWrapper(
    model: Model,
    options: { noJinja: boolean; warningLogs: boolean },
  ): ChatWrapper | undefined;
}

/** Imports node-llama-cpp from where setup found it. @param entry file URL */
export async function importNodeLlama(entry: string): Promise<NodeLlama> {
  return (await import(entry)) as NodeLlama;
}
