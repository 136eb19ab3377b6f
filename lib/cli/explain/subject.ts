import { KfdError } from '../../errors.js';
import type { ImageSource } from '../../image/rgbImage.js';
import type { Detection } from '../../kfd/detection.js';
import type { DetectorOptions } from '../../kfd/options.js';
import { readStdin, STDIN } from '../detectInputs.js';
import { interruptSignal } from '../interrupt.js';
import { readDetectionFile } from './detectionFile.js';
import type { Subject } from './session.js';

/** Which face: `largest`, `whole` (the picture is the face crop), or its number in the output of `detect --faces all`. */
export type FaceChoice = 'largest' | 'whole' | number;

/** @throws KfdError ERR_KFD_USAGE */
export function parseFace(text: string): FaceChoice {
  if (text === 'largest' || text === 'whole') return text;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new KfdError(
    'ERR_KFD_USAGE',
    `Expected --face to be largest, whole or a number from 1 on but received ${text}.`,
  );
}

function pickFace(found: Omit<Subject, 'face' | 'number'>, choice: FaceChoice): Subject {
  const { faces } = found.detection;
  const number = typeof choice === 'number' ? choice : 1;
  const face = faces[number - 1];
  if (face !== undefined) return { ...found, face, number };
  throw new KfdError(
    'ERR_KFD_USAGE',
    `Expected --face to be from 1 to ${faces.length} but received ${number}.`,
    {
      hint: `${found.name} has ${faces.length} ${faces.length === 1 ? 'face' : 'faces'}.`,
    },
  );
}

/** A detection without a face: there is nothing to talk about. */
export type Examined = Subject | { detection: Detection; face: undefined };

function subjectOf(found: Omit<Subject, 'face' | 'number'>, choice: FaceChoice): Examined {
  const { detection } = found;
  return detection.status === 'ok' ? pickFace(found, choice) : { detection, face: undefined };
}

/** Judges the picture, then lets the detector go: its soft prompts stay with the face. */
export async function examineImage(
  image: string,
  choice: FaceChoice,
  options: DetectorOptions,
): Promise<Examined> {
  const { Detector } = await import('../../kfd/detector.js');
  const source: ImageSource = image === STDIN ? await readStdin() : image;
  const detector = await Detector.load(options);
  try {
    const detection = await detector.detect(source, {
      faces: typeof choice === 'number' ? 'all' : choice,
      evidence: options.explainer !== false,
      pixels: true,
      path: image,
      signal: interruptSignal,
    });
    return subjectOf({ detection, name: image, metrics: detector.info().metrics }, choice);
  } finally {
    await detector.dispose();
  }
}

/** The face of a saved detection: no picture, no map, no soft prompts. */
export async function examineFile(file: string, choice: FaceChoice): Promise<Examined> {
  const detection = await readDetectionFile(file);
  return subjectOf({ detection, name: detection.input.path ?? file, metrics: undefined }, choice);
}
