import { KfdError, throwIfAborted } from '../errors.js';
import { callerOf, withCaller } from './callerStack.js';
import { EngineFlow } from './flow.js';
import { loadAddon } from './loader.js';
import { planThreads, type ThreadOptions, type ThreadPlan } from './threads.js';
import type {
  Affine,
  BlockEvent,
  ExecutorStats,
  InputSpec,
  ModelInfo,
  NativeExecutor,
  NativeImage,
  NativeJob,
  NativeModel,
  NativeModelOptions,
  NativeRequest,
  RunResult,
  RuntimeInfo,
} from './types.js';

export interface EngineOptions extends ThreadOptions {
  /** Most images of compatible queued jobs that share one forward pass; a lane never waits for more. Default 4. */
  maxBatch?: number;
  /** Jobs that may wait; one more is refused with ERR_KFD_QUEUE_FULL. Default 1024. */
  maxQueueItems?: number;
  /** Bytes of pixels or tensors that may wait. Default 1 GiB. */
  maxQueueBytes?: number;
}

export interface JobOptions {
  /** Waiting work is dropped at once, running work at the next block; rejects with ERR_KFD_ABORTED. */
  signal?: AbortSignal | undefined;
}

const DEFAULT_MAX_BATCH = 4;
const DEFAULT_QUEUE_ITEMS = 1024;
const DEFAULT_QUEUE_BYTES = 2 ** 30;

/** Drops what the addon does not know of an image; anything that is no object is left for the addon to refuse. */
function nativeImage(image: unknown): NativeImage {
  if (typeof image !== 'object' || image === null) return image as NativeImage;
  const { data, width, height } = image as NativeImage;
  return { data, width, height };
}

function nativeRequest(request: NativeRequest | null | undefined): NativeRequest {
  if (typeof request !== 'object' || request === null) return request as unknown as NativeRequest;
  return request.image === undefined ? request : { ...request, image: nativeImage(request.image) };
}

/** Waits for a job and lets an AbortSignal cancel it; the listener is gone when the job has settled. */
async function settled(job: NativeJob, signal: AbortSignal | undefined): Promise<RunResult> {
  if (signal === undefined) return job.promise;
  const cancel = (): void => job.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await job.promise;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** A model loaded into an {@link Engine}; its weights are shared by all lanes. */
export class EngineModel {
  /** What was loaded and how it is run. */
  readonly info: ModelInfo;

  /** @internal made by {@link Engine.load} */
  constructor(private readonly native: NativeModel) {
    this.info = native.info;
  }

  /**
   * Runs one request on the next free lane. Pixels must not be written to, transferred or resized until the promise
   * settles; tensors are copied. Every result array is the caller's own.
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_QUEUE_FULL, ERR_KFD_ABORTED, ERR_KFD_DISPOSED,
   *   ERR_KFD_OUT_OF_MEMORY, ERR_KFD_DEVICE, ERR_KFD_INTERNAL
   */
  async run(request: NativeRequest, { signal }: JobOptions = {}): Promise<RunResult> {
    const caller = callerOf();
    try {
      throwIfAborted(signal);
      return await settled(this.native.run(nativeRequest(request)), signal);
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /**
   * Walks the transformer block by block; the last event also holds the outputs. Between two events no work is done,
   * and leaving the loop ends the forward pass there.
   * @throws KfdError the codes of {@link run}, and ERR_KFD_INVALID_ARGUMENT for a model without blocks
   */
  async *blocks(
    request: NativeRequest,
    { signal }: JobOptions = {},
  ): AsyncGenerator<BlockEvent, void, undefined> {
    const caller = callerOf();
    try {
      throwIfAborted(signal);
      const walk = this.native.walk(nativeRequest(request));
      const close = (): void => walk.close();
      signal?.addEventListener('abort', close, { once: true });
      try {
        for (;;) {
          const event = await walk.next();
          throwIfAborted(signal);
          if (event === null) return;
          yield event;
        }
      } finally {
        signal?.removeEventListener('abort', close);
        walk.close();
      }
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /**
   * Prepares one forward pass for attention flows; its forward() runs it, and pixels stay pinned until then.
   * @param options.full keep what gradient passes, all rows and baselines need (default true); without it only
   *   class-row and direct passes of the class row can follow, at the memory of a plain forward pass
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_MODEL_UNSUPPORTED (blocks whose attention is not known),
   *   ERR_KFD_DISPOSED
   */
  flow(request: NativeRequest, options?: { full?: boolean }): EngineFlow {
    const caller = callerOf();
    try {
      return new EngineFlow(this.native.flow(nativeRequest(request), options));
    } catch (error) {
      throw withCaller(error, caller);
    }
  }

  /** Lets the weights go when running jobs have finished. Idempotent. */
  dispose(): void {
    this.native.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
    return Promise.resolve();
  }
}

/**
 * Inference lanes: own threads, never those of libuv, so files, DNS and timers go on while a network runs. Models
 * loaded into one engine share its lanes and its queue.
 */
export class Engine {
  private disposal: Promise<void> | undefined;

  private constructor(
    private readonly native: NativeExecutor,
    /** The lanes and threads that were granted. */
    readonly threads: Readonly<Omit<ThreadPlan, 'warnings'>>,
  ) {}

  /**
   * Starts the lanes.
   * @throws KfdError ERR_KFD_ADDON_MISSING, ERR_KFD_ADDON_LOAD, ERR_KFD_INVALID_ARGUMENT
   */
  static create(options: EngineOptions = {}): Promise<Engine> {
    const caller = callerOf();
    try {
      const { lanes, threadsPerLane, warnings } = planThreads(options);
      for (const warning of warnings) process.emitWarning(warning, { type: 'KfdThreadsWarning' });
      const native = new (loadAddon().Executor)({
        lanes,
        threadsPerLane,
        maxBatch: options.maxBatch ?? DEFAULT_MAX_BATCH,
        maxQueueItems: options.maxQueueItems ?? DEFAULT_QUEUE_ITEMS,
        maxQueueBytes: options.maxQueueBytes ?? DEFAULT_QUEUE_BYTES,
      });
      return Promise.resolve(new Engine(native, { lanes, threadsPerLane }));
    } catch (error) {
      return Promise.reject(withCaller(error, caller));
    }
  }

  /** The libtorch that the addon runs on. */
  static runtimeInfo(): RuntimeInfo {
    return loadAddon().runtimeInfo();
  }

  /**
   * Loads and checks a TorchScript file on a lane.
   * @throws KfdError ERR_KFD_MODEL_LOAD, ERR_KFD_MODEL_UNSUPPORTED, ERR_KFD_MODEL_MISMATCH, ERR_KFD_DEVICE,
   *   ERR_KFD_INVALID_ARGUMENT, ERR_KFD_DISPOSED
   */
  async load(path: string, options: NativeModelOptions): Promise<EngineModel> {
    const caller = callerOf();
    try {
      return new EngineModel(await this.native.load(path, options));
    } catch (error) {
      throw withCaller(error, caller);
    }
  }

  /**
   * What a model would see of an image, without running one: `input` [1,3,H,W] (normalised) and `pixels` [H,W,3]
   * (0..255).
   * @param crop maps crop pixels to image pixels; without it the whole image is fitted by `spec.fit`
   */
  async preprocess(
    spec: InputSpec,
    image: NativeImage,
    { crop, signal }: JobOptions & { crop?: Affine | undefined } = {},
  ): Promise<RunResult> {
    const caller = callerOf();
    try {
      throwIfAborted(signal);
      return await settled(this.native.preprocess(spec, nativeImage(image), crop), signal);
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /** Counters since the start and what waits now. */
  stats(): ExecutorStats {
    return this.native.stats();
  }

  /** Cancels waiting and running work and ends the lanes; resolves when every promise has settled. Idempotent. */
  dispose(): Promise<void> {
    return (this.disposal ??= this.native.shutdown());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Throws unless a named output is there: a model of another kind was loaded. */
export function outputOf(result: { arrays: RunResult['arrays'] }, name: string): RunResult['arrays'][string] {
  const array = result.arrays[name];
  if (array === undefined) {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `Expected an output named ${name} but the model gave ${Object.keys(result.arrays).join(', ') || 'none'}`,
      { hint: 'Was the model loaded with the right kind?' },
    );
  }
  return array;
}
