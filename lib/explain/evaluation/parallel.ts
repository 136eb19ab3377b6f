import pMap from 'p-map';
import { runDialogue, type EvaluatedExplainer } from './explainEvaluation.js';
import type { FaceDetection } from '../../kfd/detection.js';
import type { Script } from './questions.js';

/** A dialogue to be held: a face and what is asked about it. */
export interface PlannedDialogue {
  face: FaceDetection;
  questions: Script[number];
}

/** What so many dialogues at once come to. */
export interface ParallelRow {
  dialogues: number;
  answers: number;
  seconds: number;
  answersPerSecond: number;
  /** Generated tokens of all dialogues together. */
  tokensPerSecond: number;
}

/**
 * Holds the same dialogues with 1, 2, 4 ... of them under way at once, the explainer loaded anew each time.
 *
 * @param load makes an explainer for so many dialogues
 */
export async function measureParallel(
  plan: readonly PlannedDialogue[],
  counts: readonly number[],
  load: (dialogues: number) => Promise<EvaluatedExplainer>,
  signal: AbortSignal | undefined,
): Promise<ParallelRow[]> {
  const rows: ParallelRow[] = [];
  for (const dialogues of counts) {
    const explainer = await load(dialogues);
    try {
      const started = performance.now();
      const held = await pMap(
        plan,
        ({ face, questions }) => runDialogue(explainer, face, questions, signal),
        { concurrency: dialogues },
      );
      const seconds = (performance.now() - started) / 1000;
      const answers = held.flatMap((dialogue) => dialogue.answers);
      const tokens = answers.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
      rows.push({
        dialogues,
        answers: answers.length,
        seconds,
        answersPerSecond: answers.length / seconds,
        tokensPerSecond: tokens / seconds,
      });
    } finally {
      await explainer.dispose();
    }
  }
  return rows;
}

/** Rows of cells for people. */
export function parallelTable(rows: readonly ParallelRow[]): string[][] {
  return [
    ['dialogues at once', 'answers', 'seconds', 'answers/s', 'tokens/s'],
    ...rows.map(({ dialogues, answers, seconds, answersPerSecond, tokensPerSecond }) => [
      String(dialogues),
      String(answers),
      seconds.toFixed(1),
      answersPerSecond.toFixed(2),
      tokensPerSecond.toFixed(1),
    ]),
  ];
}
