/**
 * The native surface, typed by hand: exactly what binding/node exports and nothing more. Shapes, units and rules are
 * those of binding/engine/engine.h; a test compares the two lists of names.
 */

export type ModelKind = 'vit' | 'kfd' | 'module';
export type Fit = 'stretch' | 'crop' | 'letterbox';

/** A dense row-major float32 array. */
export interface FloatArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type NamedArrays = Readonly<Record<string, FloatArray>>;

export interface InputSpec {
  width: number;
  height: number;
  fit: Fit;
  /** value = (byte / 255 - mean) / std, a channel each, RGB order */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
}

export interface NativeModelOptions {
  kind: ModelKind;
  device?: string;
  precision?: 'fp32';
  input?: InputSpec;
  heads?: number;
  layerNormEps?: number;
  activation?: 'gelu' | 'gelu_tanh' | 'quick_gelu';
  prefixTokens?: number;
  taps?: readonly number[];
  logitScale?: number;
  /** KFD only: TorchScript file with the children prompt_learner and visual_projection. */
  promptsPath?: string;
  /** Run the module's own forward as it stands: the peer that `bench` compares with. */
  plainForward?: boolean;
  disablePrepack?: boolean;
}

export interface ModelInfo {
  kind: ModelKind;
  device: string;
  precision: string;
  execution: 'own-blocks-prepacked' | 'own-blocks' | 'black-box-blocks' | 'plain-forward';
  inputWidth: number;
  inputHeight: number;
  depth: number;
  width: number;
  heads: number;
  patch: number;
  prefixTokens: number;
  gridHeight: number;
  gridWidth: number;
  classes: number;
  layerNormEps: number;
  activation: string;
  taps: number[];
  /** Prompts of the prompts file and their width, the language model's; 0 without one. */
  promptTokens: number;
  promptWidth: number;
  features: string[];
  /** Maximum relative difference between the engine's block code and the module's own blocks, measured at load. */
  verificationError: number;
  warnings: string[];
}

/** Row-major 2x3: maps crop pixel coordinates to image pixel coordinates; pixel centres at +0.5 in both. */
export type Affine = readonly [number, number, number, number, number, number];

/** 8-bit RGB, three interleaved channels, rows without padding. Pinned until the job settles: do not write to it. */
export interface NativeImage {
  data: Uint8Array;
  width: number;
  height: number;
}

/** Which intermediate values a walk returns; all off by default. See engine.h for names and shapes. */
export interface Hooks {
  classToken?: boolean;
  classAttention?: boolean;
  prefixMass?: boolean;
  tokens?: readonly number[];
  direction?: Float32Array;
}

export interface NativeRequest {
  /** Exactly one of `image` and `tensor`. */
  image?: NativeImage;
  /** With `image`: the warp to apply instead of fitting the whole image. */
  crop?: Affine;
  /** Normalised network input (B,3,H,W); copied. */
  tensor?: FloatArray;
  hooks?: Hooks;
  intermediates?: boolean;
  /** Also `P` [B,K,W] and `V` [B,W], the input of an explainer; needs `promptsPath`. */
  prompts?: boolean;
  returnInput?: boolean;
}

export interface Timing {
  queueMs: number;
  preprocessMs: number;
  forwardMs: number;
  /** How many images shared the forward. */
  batch: number;
}

export interface RunResult {
  arrays: NamedArrays;
  timing: Timing;
}

export interface BlockEvent {
  /** Block index from 0. */
  block: number;
  /** True on the last block, whose arrays also hold the model's outputs. */
  last: boolean;
  arrays: NamedArrays;
}

/** A submitted job: settles once; `cancel()` is idempotent and rejects with ERR_KFD_ABORTED. */
export interface NativeJob {
  readonly promise: Promise<RunResult>;
  cancel(): void;
}

export interface NativeWalk {
  /** Runs one block; null when the walk is over. One call at a time. */
  next(): Promise<BlockEvent | null>;
  /** Lets the walk's state go. A next() under way still settles, with its block or with ERR_KFD_ABORTED. */
  close(): void;
}

/** What is explained, as the derivative of a scalar Y; see FlowTarget in engine.h. */
export interface NativeFlowTarget {
  kind: 'logits' | 'feature' | 'forgery' | 'class-token-forgery';
  /** For `logits` C or B*C values, for `feature` D or B*D; else absent. */
  weights?: Float32Array;
}

export interface NativeFlowPass {
  coefficients: 'gradient' | 'class-row' | 'direct';
  /** Decompose every token row, not only the class token's. */
  allRows?: boolean;
  perHead?: boolean;
  baselines?: boolean;
  targets: readonly NativeFlowTarget[];
}

/** One forward pass kept for reverse passes; names and shapes of the arrays: class Flow in engine.h. */
export interface NativeFlow {
  forward(): Promise<RunResult>;
  begin(pass: NativeFlowPass): Promise<RunResult>;
  /** The next block of the pass; null when the pass is over. One call at a time. */
  next(): Promise<BlockEvent | null>;
  close(): void;
}

export interface NativeModel {
  readonly info: ModelInfo;
  run(request: NativeRequest): NativeJob;
  walk(request: NativeRequest): NativeWalk;
  /** `full` (default true): keep what gradient passes, all rows and baselines need. */
  flow(request: NativeRequest, options?: { full?: boolean }): NativeFlow;
  /** Drops the reference; running jobs finish first. */
  dispose(): void;
}

export interface ExecutorOptions {
  lanes: number;
  threadsPerLane: number;
  maxBatch: number;
  maxQueueItems: number;
  maxQueueBytes: number;
}

export interface ExecutorStats {
  queuedItems: number;
  queuedBytes: number;
  runningItems: number;
  completed: number;
  failed: number;
  cancelled: number;
  refused: number;
  batches: number;
  batchedItems: number;
}

export interface NativeExecutor {
  load(path: string, options: NativeModelOptions): Promise<NativeModel>;
  /** `input` [1,3,H,W] and `pixels` [H,W,3] (0..255 before normalising). */
  preprocess(spec: InputSpec, image: NativeImage, crop?: Affine): NativeJob;
  stats(): ExecutorStats;
  /** Cancels what is queued and running, joins the lanes; resolves when every promise has settled. */
  shutdown(): Promise<void>;
}

export interface RuntimeInfo {
  torchVersion: string;
  cpuCapability: string;
  hasPrepackedLinear: boolean;
  cudaAvailable: boolean;
  cudaDevices: number;
}

// --------------------------------------------------------------------------------- soft prompts (binding/llm/llm.h)

export interface LlamaLibraryOptions {
  /** Holds libllama, libggml and the backends of one platform and variant. */
  folder: string;
  /** 'cpu' (libllama.v*.so), else the part of the name before the release: 'cuda', 'vulkan'. Default 'cpu'. */
  variant?: string;
  /** What llama_version() must say besides fitting the headers that the addon was compiled with. */
  expectedVersion?: string;
}

export interface LlamaLibraryInfo {
  /** llama_version(), for example 0.5.0-dev. */
  version: string;
  /** The libllama that was opened. */
  path: string;
  devices: string[];
}

export interface LlamaPrefixOptions {
  /** The language model's GGUF file. */
  model: string;
  /** LoRA GGUF file; the context that reads the state must have the same adapter at the same scale. */
  adapter?: { file: string; scale?: number };
  /** Sequences of the context that will read the state files. */
  sequences: number;
  /** Positions of one sequence; needs only hold the prefix. llama.cpp rounds it up to a multiple of 256. */
  contextSize: number;
  threads: number;
  flashAttention?: boolean;
  gpuLayers?: number;
}

export interface LlamaPrefixInfo {
  /** Floats of an embedding row. */
  width: number;
  /** Token ids are 0 .. vocabulary - 1. */
  vocabulary: number;
  /** Positions that a prefix may have. */
  contextSize: number;
}

export interface TokenPiece {
  tokens: Int32Array;
}

/** `placeholders.length` rows of `width` values, and the token ids that stand for them in the state file. */
export interface RowPiece {
  rows: Float32Array;
  placeholders: Int32Array;
}

export interface LlamaWriteRequest {
  /** The state file, replaced as a whole; its folder must exist. */
  file: string;
  pieces: readonly (TokenPiece | RowPiece)[];
  /** Also return the last position's logits. */
  logits?: boolean;
}

export interface LlamaWritten {
  positions: number;
  /** Of the state file. */
  bytes: number;
  decodeMs: number;
  /** `vocabulary` values where asked for. */
  logits?: Float32Array;
}

/** A write under way: settles once; `cancel()` is idempotent and rejects with ERR_KFD_ABORTED. */
export interface NativeLlamaWrite {
  readonly promise: Promise<LlamaWritten>;
  cancel(): void;
}

export interface NativeLlamaPrefix {
  /** Settles when the model is loaded. */
  readonly ready: Promise<LlamaPrefixInfo>;
  tokenize(text: string, special: boolean): Int32Array;
  write(request: LlamaWriteRequest): NativeLlamaWrite;
  /** Aborts what loads, waits and runs; resolves when the model is freed. */
  close(): Promise<void>;
}

export interface NativeAddon {
  /** Version of the package the addon was built from; the loader compares it with package.json. */
  readonly version: string;
  runtimeInfo(): RuntimeInfo;
  keepLargeAllocations(): boolean;
  Executor: new (options: ExecutorOptions) => NativeExecutor;
  openLlama(options: LlamaLibraryOptions): LlamaLibraryInfo;
  LlamaPrefix: new (options: LlamaPrefixOptions) => NativeLlamaPrefix;
}
