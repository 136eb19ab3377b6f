import { checkMaskSize } from '../../faithfulness/evaluation.js';
import type { EvaluationImage } from '../../faithfulness/imageFolder.js';
import { throwIfAborted, toKfdError } from '../../errors.js';
import { decodeImage } from '../../image/decode.js';
import type { RgbImage } from '../../image/rgbImage.js';
import type { Detection, FaceDetection } from '../../kfd/detection.js';
import type { Detector } from '../../kfd/detector.js';
import type { Affine } from '../../native/types.js';
import { evidenceOfFace } from '../evidence.js';
import type { FaceFacts } from './rows.js';

/** An image after detection: what is known of it, and the face that the explainers are given. */
export interface ExaminedImage {
  facts: FaceFacts;
  face: FaceDetection | undefined;
}

export interface ExamineOptions {
  faces: 'largest' | 'whole';
  signal: AbortSignal | undefined;
  /** The parts that a true mask covers, in the crop of its image. */
  maskParts: (mask: RgbImage, crop: Affine) => Promise<string[]>;
}

/** Undefined where there is no mask, or no canonical crop in which regions have a place. */
async function readMask(
  image: EvaluationImage,
  detection: Detection,
  { maskParts }: ExamineOptions,
): Promise<string[] | null> {
  const crop = detection.maps[0]?.crop;
  if (image.mask === undefined || crop === undefined || detection.faces[0]?.extent === null) return null;
  const mask = await decodeImage(image.mask);
  const { width, height } = detection.input;
  checkMaskSize({ width: width ?? 0, height: height ?? 0 }, mask, image);
  return maskParts(mask, crop);
}

async function factsOf(
  image: EvaluationImage,
  detection: Detection,
  options: ExamineOptions,
): Promise<ExaminedImage> {
  const { name, group } = image;
  const { status, error } = detection;
  const facts: FaceFacts = {
    ...{ image: name, group: group ?? null, status, error },
    evidence: null,
    maskParts: null,
  };
  const [face] = detection.faces;
  if (face === undefined) return { facts, face: undefined };
  try {
    const maskParts = await readMask(image, detection, options);
    return { facts: { ...facts, evidence: evidenceOfFace(face), maskParts }, face };
  } catch (cause) {
    throwIfAborted(options.signal);
    // an unreadable mask, or one of another size
    return { facts: { ...facts, status: 'error', error: toKfdError(cause).toJSON() }, face: undefined };
  }
}

/**
 * Runs the detector over the images, in their order. What is wrong with one image stands in its facts.
 *
 * @throws KfdError ERR_KFD_ABORTED, ERR_KFD_DISPOSED
 */
export async function* examine(
  detector: Detector,
  images: readonly EvaluationImage[],
  options: ExamineOptions,
): AsyncGenerator<ExaminedImage, void, undefined> {
  const { faces, signal } = options;
  const inputs = images.map(({ name, file }) => ({ source: file, path: name }));
  let index = 0;
  for await (const detection of detector.detectAll(inputs, { faces, signal, evidence: true })) {
    const image = images[index];
    index += 1;
    if (image !== undefined) yield await factsOf(image, detection, options);
  }
}
