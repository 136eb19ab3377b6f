import type { Answer } from '../../explain/answerDocument.js';
import type { Explainer } from '../../explain/explainer.js';
import type { Detection } from '../../kfd/detection.js';
import { DEFAULT_QUESTIONS } from './defaultQuestions.js';

/** A detection with what was answered about each of its faces; no answers where nothing was to be explained. */
export interface ExplainedDetection {
  detection: Detection;
  answers: readonly (readonly Answer[])[];
}

async function explainFaces(
  explainer: Explainer,
  detection: Detection,
  signal: AbortSignal,
): Promise<Answer[][]> {
  const all: Answer[][] = [];
  for (const face of detection.faces) {
    await using dialogue = await explainer.open(face, { detector: detection.model, signal });
    const answers: Answer[] = [];
    for (const question of DEFAULT_QUESTIONS) answers.push(await dialogue.ask(question, { signal }));
    all.push(answers);
  }
  return all;
}

/** The detection with `explanation` in each face; all else, also what is not part of the JSON, stays. */
function withExplanations(detection: Detection, answers: readonly (readonly Answer[])[]): Detection {
  const faces = detection.faces.map((face, index) => ({ ...face, explanation: answers[index] ?? [] }));
  const { maps, flows, image } = detection;
  return Object.defineProperties(
    { ...detection, faces },
    {
      maps: { value: maps, enumerable: false },
      flows: { value: flows, enumerable: false },
      image: { value: image, enumerable: false },
    },
  );
}

/**
 * Explains detections as they come, in their order, one face at a time; no further one is taken before the reader has
 * taken the last. Without an explainer they pass as they are.
 *
 * @throws KfdError those of Explainer.open and Dialogue.ask
 */
export async function* explainDetections(
  detections: AsyncIterable<Detection>,
  explainer: Explainer | undefined,
  signal: AbortSignal,
): AsyncGenerator<ExplainedDetection> {
  for await (const detection of detections) {
    if (explainer === undefined) yield { detection, answers: [] };
    else {
      const answers = await explainFaces(explainer, detection, signal);
      yield { detection: withExplanations(detection, answers), answers };
    }
  }
}
