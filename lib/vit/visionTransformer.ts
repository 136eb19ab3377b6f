import { Engine, outputOf, type EngineModel, type JobOptions } from '../native/engine.js';
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
import { loadOptionsFor } from './loadOptions.js';

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

function requestFor(input: VitInput, hooks: Hooks): NativeRequest {
  return 'shape' in input ? { tensor: input, hooks } : { image: input, hooks };
}

/** A vision transformer in timm naming, run block by block on the engine. */
export class VisionTransformer {
  private constructor(
    private readonly model: EngineModel,
    private readonly engine: Engine,
    private readonly ownsEngine: boolean,
  ) {}

  /**
   * Loads a TorchScript file (scripted, or traced with a manifest). Where `NAME.kfd.json` lies beside `NAME.pt` it
   * gives input size, normalisation and heads, and the file must have the manifest's SHA-256.
   * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_DIGEST, ERR_KFD_MODEL_LOAD,
   *   ERR_KFD_MODEL_UNSUPPORTED, ERR_KFD_MODEL_MISMATCH, ERR_KFD_DEVICE, ERR_KFD_ADDON_MISSING, ERR_KFD_ADDON_LOAD
   */
  static async load(file: string, options: VisionTransformerOptions = {}): Promise<VisionTransformer> {
    const { engine: sharedEngine, lanes, threadsPerLane, ...modelOptions } = options;
    const { modelPath, nativeOptions } = await loadOptionsFor(file, modelOptions);
    const engine =
      sharedEngine ??
      (await Engine.create({
        ...(lanes === undefined ? {} : { lanes }),
        ...(threadsPerLane === undefined ? {} : { threadsPerLane }),
      }));
    const ownsEngine = sharedEngine === undefined;
    try {
      return new VisionTransformer(await engine.load(modelPath, nativeOptions), engine, ownsEngine);
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

  /** Lets the weights go, and ends the lanes where they are not shared. Idempotent. */
  async dispose(): Promise<void> {
    this.model.dispose();
    if (this.ownsEngine) await this.engine.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
