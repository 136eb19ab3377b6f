import { throwIfAborted } from '../../errors.js';
import type { FaceDetection } from '../../kfd/detection.js';
import type { Answer } from '../answerDocument.js';
import { evidenceOfFace } from '../evidence.js';
import type { ExaminedImage } from './examine.js';
import type { Mode } from './modes.js';
import { scriptFor, type Script, type Wordings } from './questions.js';
import { readAnswer } from './readAnswer.js';
import type { AnswerRow, DialogueRow, FaceRow } from './rows.js';

/** What is evaluated: `Explainer`, or something that answers like it. */
export interface EvaluatedExplainer {
  open(face: FaceDetection): Promise<EvaluatedDialogue>;
  dispose(): Promise<void>;
}
export interface EvaluatedDialogue {
  ask(question: string, options: { signal?: AbortSignal | undefined }): Promise<Answer>;
  dispose(): Promise<void> | void;
}

export interface ExplainEvaluationOptions {
  modes: readonly Mode[];
  /** Makes the explainer of a mode; one is there at a time. */
  load: (mode: Mode) => Promise<EvaluatedExplainer>;
  /** What every face is asked, or what is drawn for each. */
  questions: { wordings: Wordings; seed: number } | { script: Script };
  signal: AbortSignal | undefined;
}

/** Under what key a row is found again. */
export const rowKey = ({ mode, image }: Pick<FaceRow, 'mode' | 'image'>): string => `${mode} ${image}`;

/** Asks one dialogue's questions one after the other. */
export async function runDialogue(
  explainer: EvaluatedExplainer,
  face: FaceDetection,
  questions: Script[number],
  signal: AbortSignal | undefined,
): Promise<DialogueRow> {
  const evidence = evidenceOfFace(face);
  const started = performance.now();
  const dialogue = await explainer.open(face);
  const openMs = performance.now() - started;
  const answers: AnswerRow[] = [];
  try {
    for (const question of questions) {
      throwIfAborted(signal);
      answers.push(readAnswer(await dialogue.ask(question.text, { signal }), question, evidence));
    }
  } finally {
    await dialogue.dispose();
  }
  return { openMs, answers };
}

/** Asks every face the same kinds of questions in every mode. */
export class ExplainEvaluation {
  constructor(
    private readonly images: readonly ExaminedImage[],
    private readonly options: ExplainEvaluationOptions,
  ) {}

  /** The dialogues for one image. */
  scriptOf(image: string, face: FaceDetection): Script {
    const { questions } = this.options;
    if ('script' in questions) return questions.script;
    const { verdict, namedRegions } = face;
    return scriptFor({ name: image, verdict, namedRegions }, questions.wordings, questions.seed);
  }

  /**
   * One row a mode and face, mode by mode.
   *
   * @param skip keys of rows that are there already
   * @throws KfdError what ends the evaluation: an abort, an explainer that cannot be loaded or does not answer
   */
  async *rows(skip: ReadonlySet<string> = new Set()): AsyncGenerator<FaceRow, void, undefined> {
    for (const mode of this.options.modes) {
      const waiting = this.images.filter(
        ({ facts, face }) => face !== undefined && !skip.has(rowKey({ mode, image: facts.image })),
      );
      if (waiting.length === 0) continue;
      const explainer = await this.options.load(mode);
      try {
        for (const { facts, face } of waiting)
          if (face !== undefined) yield await this.row(explainer, mode, facts, face);
      } finally {
        await explainer.dispose();
      }
    }
  }

  private async row(
    explainer: EvaluatedExplainer,
    mode: Mode,
    { image, group }: ExaminedImage['facts'],
    face: FaceDetection,
  ): Promise<FaceRow> {
    const dialogues: DialogueRow[] = [];
    for (const questions of this.scriptOf(image, face)) {
      dialogues.push(await runDialogue(explainer, face, questions, this.options.signal));
    }
    return { mode, image, group, dialogues };
  }
}
