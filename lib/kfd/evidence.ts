import type { FloatArray } from '../native/types.js';
import type { FaceDetection } from './detection.js';

/** What an explainer's language model is given of a face beside text (spec/kfd.md 9, 10): rows of its own width. */
export interface FacePrompts {
  /** The visual token, [width]. */
  readonly visual: Float32Array;
  /** The forgery prompts, [tokens, width] row-major. */
  readonly forgery: Float32Array;
  /** Forgery prompts. */
  readonly tokens: number;
  readonly width: number;
  /** Of the prompts file that computed them: an explainer takes only those of its own. */
  readonly explainerSha256: string;
}

// Beside the faces and not in them: prompts are large, and no part of the JSON.
const promptsByFace = new WeakMap<FaceDetection, FacePrompts>();

/**
 * The soft prompts of a face that was detected with the option `evidence`, by the very object that the detector gave.
 *
 * @returns undefined without that option, for a detector without an explainer, and for a face read back from JSON
 */
export function promptsOf(face: FaceDetection): FacePrompts | undefined {
  return promptsByFace.get(face);
}

/** Image `index` of P [B,K,W] and V [B,W]. @internal */
export function keepPrompts(
  face: FaceDetection,
  { P, V }: { P: FloatArray; V: FloatArray },
  index: number,
  explainerSha256: string,
): void {
  const [, tokens = 0, width = 0] = P.shape;
  const size = tokens * width;
  promptsByFace.set(face, {
    visual: V.data.slice(index * width, (index + 1) * width),
    forgery: P.data.slice(index * size, (index + 1) * size),
    tokens,
    width,
    explainerSha256,
  });
}
