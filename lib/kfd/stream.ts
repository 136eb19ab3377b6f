import { setTimeout as sleep } from 'node:timers/promises';
import { pMapIterable } from 'p-map';
import { KfdError, throwIfAborted, toKfdError, type ErrorCode } from '../errors.js';
import type { ImageSource } from '../image/rgbImage.js';
import { createDetection, type DetectedModel, type Detection } from './detection.js';
import type { DetectOptions } from './options.js';

/** A picture, or a picture with the name that it gets in the result. */
export type DetectInput = ImageSource | { source: ImageSource; path: string };

export interface DetectAllOptions extends Omit<DetectOptions, 'path'> {
  /** How many pictures are under way at once, decoding included; default lanes + 1. */
  concurrency?: number | undefined;
}

/** These say that nothing further will work; any other error concerns one input only. */
const ENDS_THE_STREAM: ReadonlySet<ErrorCode> = new Set(['ERR_KFD_ABORTED', 'ERR_KFD_DISPOSED']);

const isNamed = (input: DetectInput): input is { source: ImageSource; path: string } =>
  typeof input === 'object' && 'source' in input;

/** Others may fill a shared engine's queue for a while: a stream waits for its turn instead of failing. */
const QUEUE_WAIT_MS = 200;
const QUEUE_ATTEMPTS = 50;

async function whenTheQueueHasRoom<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (toKfdError(error).code !== 'ERR_KFD_QUEUE_FULL' || attempt === QUEUE_ATTEMPTS) throw error;
    }
    await sleep(QUEUE_WAIT_MS);
    throwIfAborted(signal);
  }
}

interface StreamContext {
  concurrency: number;
  signal: AbortSignal | undefined;
  model: DetectedModel;
}

/** See Detector.detectAll. */
export async function* detectEach(
  inputs: Iterable<DetectInput> | AsyncIterable<DetectInput>,
  detect: (source: ImageSource, path: string | undefined) => Promise<Detection>,
  { concurrency, signal, model }: StreamContext,
): AsyncGenerator<Detection, void, undefined> {
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected a concurrency of at least 1 but received ${concurrency}.`,
    );
  }
  const isIterable =
    typeof inputs === 'object' && (Symbol.iterator in inputs || Symbol.asyncIterator in inputs);
  if (!isIterable) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected an iterable of images but received ${typeof inputs}.`,
      {
        hint: 'Give an array, a generator or a stream of paths; for one image use detect().',
      },
    );
  }
  const judge = async (input: DetectInput): Promise<Detection> => {
    throwIfAborted(signal);
    const { source, path } = isNamed(input)
      ? input
      : { source: input, path: typeof input === 'string' ? input : undefined };
    try {
      return await whenTheQueueHasRoom(() => detect(source, path), signal);
    } catch (thrown) {
      const error = toKfdError(thrown);
      if (ENDS_THE_STREAM.has(error.code)) throw error;
      return createDetection({ input: { path: path ?? null, width: null, height: null }, model, error });
    }
  };
  // back-pressure equal to concurrency: a finished result that nobody has taken still counts as under way
  yield* pMapIterable(inputs, judge, { concurrency, backpressure: concurrency });
}
