import { Worker } from 'node:worker_threads';
import { KfdError } from '../errors.js';
import type { ImageFormat, ImageHeader } from './header.js';
import type { JimpAnswer, JimpJob } from './jimpWorker.js';
import type { RgbImage } from './rgbImage.js';

/** Formats that the fallback reads; BMP is read by nothing else. */
export const JIMP_FORMATS: ReadonlySet<ImageFormat> = new Set(['jpeg', 'png', 'gif', 'bmp']);

interface Waiting {
  resolve: (answer: JimpAnswer) => void;
  reject: (error: Error) => void;
}

/**
 * The pure-JavaScript decoder blocks the thread it runs on, so it gets one of its own. The thread starts with the first
 * job and does not keep the process alive while it has none.
 */
class JimpThread {
  private readonly waiting = new Map<number, Waiting>();
  private worker: Worker | undefined;
  private nextId = 0;

  decode(bytes: Uint8Array, maxMegapixels: number): Promise<JimpAnswer> {
    const worker = (this.worker ??= this.start());
    const job: JimpJob = { id: this.nextId, bytes, maxMegapixels };
    this.nextId += 1;
    worker.ref();
    return new Promise((resolve, reject) => {
      this.waiting.set(job.id, { resolve, reject });
      worker.postMessage(job);
    });
  }

  private start(): Worker {
    const worker = new Worker(new URL('./jimpWorker.js', import.meta.url), {
      execArgv: [], // flags of the host (--input-type, --import ...) are not meant for it
    });
    worker.on('message', (answer: JimpAnswer) => {
      this.waiting.get(answer.id)?.resolve(answer);
      this.waiting.delete(answer.id);
      if (this.waiting.size === 0) worker.unref();
    });
    worker.on('error', (error: Error) => this.end(error));
    worker.on('exit', (code) => this.end(new Error(`the decoding thread ended with code ${code}`)));
    return worker;
  }

  private end(error: Error): void {
    this.worker = undefined;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

const thread = new JimpThread();

/**
 * Decodes without native code, off the event loop. Colour profiles are not applied; otherwise as decodeWithSharp.
 * jimp itself has no pixel limit for PNG, so the size must be known from the header and lie within the limit.
 *
 * @throws KfdError ERR_KFD_IMAGE_DECODE
 */
export async function decodeWithJimp(
  bytes: Uint8Array,
  { format, size }: ImageHeader,
  name: string,
  maxPixels: number,
): Promise<RgbImage> {
  if (size === undefined) {
    throw new KfdError(
      'ERR_KFD_IMAGE_DECODE',
      `${name} is damaged or truncated (${format}): its header ends early.`,
      {
        hint: 'Open it in a viewer; fetch or export it again.',
      },
    );
  }
  const answer = await thread.decode(bytes, maxPixels / 1e6);
  if ('error' in answer) {
    throw new KfdError(
      'ERR_KFD_IMAGE_DECODE',
      `${name} is damaged or truncated (${format}): ${answer.error}`,
      {
        hint: 'Open it in a viewer; fetch or export it again.',
      },
    );
  }
  return { data: answer.data, width: answer.width, height: answer.height, format };
}
