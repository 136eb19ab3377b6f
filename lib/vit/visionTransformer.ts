import pMap from 'p-map';
import type { AttentionFlow } from '../daam/attentionFlow.js';
import { gridOf, PreparedFlow, type FlowContext } from '../daam/computeFlow.js';
import { flowSteps, type FlowStep } from '../daam/flowSteps.js';
import { checkBankModel } from '../daam/memoryBank.js';
import { needsFullFlow, planFlow, type FlowOptions, type FlowPlan } from '../daam/options.js';
import { KfdError, throwIfAborted } from '../errors.js';
import { decodeImage, type DecodeOptions } from '../image/decode.js';
import { fitAffine, imageOfBatch, pictureOfTensor } from '../image/networkView.js';
import type { ImageSource, RgbImage } from '../image/rgbImage.js';
import { Engine, outputOf, type EngineModel, type JobOptions } from '../native/engine.js';
import type { EngineFlow } from '../native/flow.js';
import type { ThreadOptions } from '../native/threads.js';
import type {
  BlockEvent,
  ExecutorStats,
  FloatArray,
  Hooks,
  InputSpec,
  ModelInfo,
  NativeImage,
  NativeModelOptions,
  NativeRequest,
  RunResult,
} from '../native/types.js';
import { digestFile } from '../setup/digest.js';
import { loadOptionsFor, type ModelSource } from './loadOptions.js';

export interface VisionTransformerOptions extends ThreadOptions {
  /** 'cpu' (default) or a torch device such as 'cuda:0'. */
  device?: string;
  precision?: 'fp32';
  /** What a traced file has lost and the manifest does not say. A value that contradicts the file is refused. */
  heads?: number;
  layerNormEps?: number;
  activation?: NonNullable<NativeModelOptions['activation']>;
  prefixTokens?: number;
  /** Size and normalisation of the network input; default: the manifest's, else 224x224, ImageNet mean and std. */
  input?: InputSpec;
  /** Lanes to share with other models; dispose() then leaves them running. Default: an engine of its own. */
  engine?: Engine;
}

/** RGB pixels, or the normalised network input (B,3,H,W). */
export type VitInput = NativeImage | FloatArray;

export interface VitResult extends RunResult {
  /** `[B, classes]`, before any softmax. */
  logits: FloatArray;
}

export interface VitFlowOptions extends FlowOptions {
  /** Keep the network's view of each image in `flow.picture`, for pictures and pages. Default false. */
  pixels?: boolean | undefined;
  /** What to call the image in the document; default its path. */
  path?: string | undefined;
  /** Limits and decoder for pictures. */
  decode?: Omit<DecodeOptions, 'name'> | undefined;
}

/** Where a file has no manifest: what the engine takes by itself. */
const DEFAULT_INPUT: InputSpec = {
  width: 224,
  height: 224,
  fit: 'stretch',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

function requestFor(input: VitInput, hooks: Hooks): NativeRequest {
  return 'shape' in input ? { tensor: input, hooks } : { image: input, hooks };
}

/** A vision transformer in timm naming, run block by block on the engine. */
export class VisionTransformer {
  private digest: Promise<string> | undefined;

  private constructor(
    private readonly model: EngineModel,
    private readonly engine: Engine,
    private readonly ownsEngine: boolean,
    private readonly source: ModelSource,
  ) {}

  /**
   * Loads a TorchScript file (scripted, or traced with a manifest). Where `NAME.kfd.json` lies beside `NAME.pt` it
   * gives input size, normalisation and heads, and the file must have the manifest's SHA-256.
   * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_DIGEST, ERR_KFD_MODEL_LOAD,
   *   ERR_KFD_MODEL_UNSUPPORTED, ERR_KFD_MODEL_MISMATCH, ERR_KFD_DEVICE, ERR_KFD_ADDON_MISSING, ERR_KFD_ADDON_LOAD
   */
  static async load(file: string, options: VisionTransformerOptions = {}): Promise<VisionTransformer> {
    const { engine: sharedEngine, lanes, threadsPerLane, ...modelOptions } = options;
    const source = await loadOptionsFor(file, modelOptions);
    const engine =
      sharedEngine ??
      (await Engine.create({
        ...(lanes === undefined ? {} : { lanes }),
        ...(threadsPerLane === undefined ? {} : { threadsPerLane }),
      }));
    const ownsEngine = sharedEngine === undefined;
    try {
      const model = await engine.load(source.modelPath, source.nativeOptions);
      return new VisionTransformer(model, engine, ownsEngine, source);
    } catch (error) {
      if (ownsEngine) await engine.dispose();
      throw error;
    }
  }

  /** What was loaded and how it is run; `warnings` says why a slower way was taken. */
  info(): ModelInfo {
    return this.model.info;
  }

  stats(): ExecutorStats {
    return this.engine.stats();
  }

  /** SHA-256 of the model file; from the manifest, which it was checked against, or read once. */
  sha256(): Promise<string> {
    const { manifest, modelPath } = this.source;
    if (manifest !== undefined) return Promise.resolve(manifest.sha256);
    return (this.digest ??= digestFile(modelPath).then(({ sha256 }) => sha256));
  }

  /** The manifest's name, else the file's. */
  get name(): string {
    return this.source.manifest?.name ?? this.source.modelPath.replace(/^.*\//, '').replace(/\.pt$/, '');
  }

  /** Size and normalisation of the network input. */
  get input(): InputSpec {
    return this.source.nativeOptions.input ?? DEFAULT_INPUT;
  }

  /**
   * One forward pass.
   * @param hooks which intermediate values to return beside `logits`; names and shapes are those of `Hooks`
   */
  async run(input: VitInput, hooks: Hooks = {}, options: JobOptions = {}): Promise<VitResult> {
    const result = await this.model.run(requestFor(input, hooks), options);
    return { ...result, logits: outputOf(result, 'logits') };
  }

  /** The same, a block at a time; leaving the loop ends the pass at the next block. */
  blocks(
    input: VitInput,
    hooks: Hooks = {},
    options: JobOptions = {},
  ): AsyncGenerator<BlockEvent, void, undefined> {
    return this.model.blocks(requestFor(input, hooks), options);
  }

  daam(image: ImageSource, options?: VitFlowOptions): Promise<AttentionFlow>;
  daam(images: readonly ImageSource[], options?: VitFlowOptions): Promise<AttentionFlow[]>;
  /**
   * The attention flow of an image, or of each of several (DAAM, docs/daam.md). Several are computed side by side on
   * the lanes, each by itself, so each flow is bit for bit the one that the image alone gives.
   * @throws KfdError what decodeImage throws; ERR_KFD_INVALID_ARGUMENT, ERR_KFD_TENSOR_FORMAT (targets);
   *   ERR_KFD_MODEL_MISMATCH (a bank of another model); ERR_KFD_MODEL_UNSUPPORTED (blocks the engine cannot take
   *   apart); ERR_KFD_NOT_FINITE; ERR_KFD_ABORTED and the others of EngineFlow
   */
  async daam(
    images: ImageSource | readonly ImageSource[],
    options: VitFlowOptions = {},
  ): Promise<AttentionFlow | AttentionFlow[]> {
    const plan = await this.plan(options);
    if (!Array.isArray(images)) return this.flowOfImage(images as ImageSource, plan, options);
    return this.sideBySide(images as readonly ImageSource[], (image) =>
      this.flowOfImage(image, plan, options),
    );
  }

  /**
   * The same for ready-made network input.
   * @param tensor (B,3,H,W) float32, normalised; one flow an image
   * @throws KfdError ERR_KFD_TENSOR_FORMAT for another shape, and those of {@link daam}
   */
  async daamTensor(tensor: FloatArray, options: VitFlowOptions = {}): Promise<AttentionFlow[]> {
    this.checkTensor(tensor);
    const plan = await this.plan(options);
    const images = Array.from({ length: tensor.shape[0] ?? 0 }, (_, index) => index);
    return this.sideBySide(images, async (index) => {
      const request: NativeRequest = { tensor: imageOfBatch(tensor, index) };
      using flow = this.openFlow(request, plan);
      const context = this.tensorContext(tensor, index, options);
      const prepared = await PreparedFlow.run(flow, context, plan, options.signal);
      return await prepared.compute();
    });
  }

  /**
   * The flow of one image a block at a time. Reverse passes give the last block first, `direct` the first first; each
   * step costs its block only, and leaving the loop saves the rest.
   * @throws KfdError those of {@link daam}
   */
  async *daamBlocks(
    image: ImageSource | FloatArray,
    options: VitFlowOptions = {},
  ): AsyncGenerator<FlowStep, void, undefined> {
    const plan = await this.plan(options);
    const { request, context } = await this.prepare(image, options);
    using flow = this.openFlow(request, plan);
    yield* flowSteps(await PreparedFlow.run(flow, context, plan, options.signal), plan, gridOf(this.info()));
  }

  /**
   * What the head reads of an image: after the last norm, pooling and fc_norm.
   * @returns [D]
   */
  async feature(image: ImageSource | FloatArray, options: VitFlowOptions = {}): Promise<Float32Array> {
    const { request } = await this.prepare(image, options);
    using flow = this.model.flow(request, { full: false });
    return outputOf(await flow.forward({ signal: options.signal }), 'feature').data;
  }

  /** Lets the weights go, and ends the lanes where they are not shared. Idempotent. */
  async dispose(): Promise<void> {
    this.model.dispose();
    if (this.ownsEngine) await this.engine.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private async plan(options: FlowOptions): Promise<FlowPlan> {
    throwIfAborted(options.signal);
    const plan = await planFlow(options, this.info());
    for (const target of plan.targets)
      if (target.kind === 'bank') checkBankModel(target.bank, await this.sha256());
    return plan;
  }

  /** One more than the lanes, so that an image is decoded while others are computed. */
  private sideBySide<Item>(
    items: readonly Item[],
    compute: (item: Item) => Promise<AttentionFlow>,
  ): Promise<AttentionFlow[]> {
    return pMap(items, compute, { concurrency: this.engine.threads.lanes + 1 });
  }

  private openFlow(request: NativeRequest, plan: FlowPlan): EngineFlow {
    return this.model.flow(request, { full: needsFullFlow(plan) });
  }

  private async flowOfImage(
    image: ImageSource,
    plan: FlowPlan,
    options: VitFlowOptions,
  ): Promise<AttentionFlow> {
    const { request, context } = await this.prepare(image, options);
    using flow = this.openFlow(request, plan);
    const prepared = await PreparedFlow.run(flow, context, plan, options.signal);
    return await prepared.compute();
  }

  private async prepare(
    image: ImageSource | FloatArray,
    options: VitFlowOptions,
  ): Promise<{ request: NativeRequest; context: FlowContext }> {
    throwIfAborted(options.signal);
    if (typeof image === 'object' && 'shape' in image) {
      this.checkTensor(image, 1);
      return { request: { tensor: image }, context: this.tensorContext(image, 0, options) };
    }
    const path = options.path ?? (typeof image === 'string' ? image : null);
    const decoded = await decodeImage(image, {
      ...options.decode,
      ...(path === null ? {} : { name: path }),
    });
    const context: FlowContext = {
      ...this.modelContext(),
      input: { path, width: decoded.width, height: decoded.height },
      crop: fitAffine(decoded, this.input),
      picture: options.pixels === true ? await this.view(decoded, options.signal) : undefined,
    };
    return { request: { image: decoded }, context };
  }

  private tensorContext(tensor: FloatArray, index: number, options: VitFlowOptions): FlowContext {
    const { inputWidth: width, inputHeight: height } = this.info();
    return {
      ...this.modelContext(),
      input: { path: options.path ?? null, width, height },
      crop: null,
      picture: options.pixels === true ? pictureOfTensor(tensor, index, this.input) : undefined,
    };
  }

  private modelContext(): Pick<FlowContext, 'info' | 'model'> {
    const info = this.info();
    const { manifest } = this.source;
    const model = {
      name: this.name,
      sha256: manifest?.sha256 ?? null,
      device: info.device,
      precision: info.precision,
      maturity: manifest?.maturity ?? null,
    };
    return { info, model };
  }

  /** The network's view of a picture as 8-bit RGB. */
  private async view(image: RgbImage, signal: AbortSignal | undefined): Promise<RgbImage> {
    const { arrays } = await this.engine.preprocess(this.input, image, { signal });
    const { data, shape } = outputOf({ arrays }, 'pixels');
    const [height = 0, width = 0] = shape;
    return { data: Uint8Array.from(data), width, height, format: 'raw' };
  }

  private checkTensor({ shape, data }: FloatArray, batch?: number): void {
    const { inputWidth: width, inputHeight: height } = this.info();
    const [images = 0, channels, rows, columns] = shape;
    const fits = shape.length === 4 && channels === 3 && rows === height && columns === width;
    const isBatch = images > 0 && (batch === undefined || images === batch);
    if (fits && isBatch && data.length === images * 3 * height * width) return;
    throw new KfdError(
      'ERR_KFD_TENSOR_FORMAT',
      `Expected an input of shape (${batch ?? 'B'}, 3, ${height}, ${width}) but received (${shape.join(', ')}).`,
      { hint: 'It is the normalised network input, channels before rows.' },
    );
  }
}
