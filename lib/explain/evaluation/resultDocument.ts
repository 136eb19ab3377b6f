import { writeFileAtomically } from '../../data/writeFileAtomically.js';
import type { Mode } from './modes.js';
import type { ParallelRow } from './parallel.js';
import type { FaceFacts, FaceRow } from './rows.js';
import type { ExplainSummary } from './summary.js';

/** Everything that decides what the rows hold: rows made under other settings are never mixed. */
export interface ExplainEvalSettings {
  folder: string;
  modes: readonly Mode[];
  faces: 'largest' | 'whole';
  seed: number;
  /** Rounds an answer may take. */
  maxRounds: number;
  threads: number;
  /** The file of own questions, or null: drawn from the held-out wordings. */
  questions: string | null;
  groups: string | null;
  masks: string | null;
  detector: { name: string; sha256: string; threshold: number };
  languageModel: string | null;
  explainer: string | null;
  /** Names of the images. */
  images: readonly string[];
}

/** Schema `kfd.explain-eval/1`. */
export interface ExplainEvalDocument {
  schema: 'kfd.explain-eval/1';
  settings: Omit<ExplainEvalSettings, 'images'>;
  summary: ExplainSummary;
  /** Dialogues held side by side; null where that was not asked for. */
  parallel: readonly ParallelRow[] | null;
  images: readonly FaceFacts[];
  rows: readonly FaceRow[];
}

/** @throws KfdError ERR_KFD_FILE_WRITE */
export function writeExplainResult(out: string, document: ExplainEvalDocument): Promise<void> {
  return writeFileAtomically(out, `${JSON.stringify(document)}\n`);
}

/** One JSON line an answer, for a person to read: what was asked, what round 1 said, what the user saw. */
export function answerLines(rows: readonly FaceRow[], images: readonly FaceFacts[]): string {
  const facts = new Map(images.map((face) => [face.image, face]));
  const lines = rows.flatMap(({ mode, image, dialogues }) => {
    const evidence = facts.get(image)?.evidence ?? null;
    const { score, threshold, verdict, confidence, namedRegions, extent } = evidence ?? {};
    return dialogues.flatMap(({ answers }, dialogue) =>
      answers.map(({ kind, question, first, end, source, rounds, replaced }, turn) =>
        JSON.stringify({
          ...{ mode, image, dialogue, turn, kind, question },
          ...{ answer: end.text, first: first.text, source, rounds: rounds.length, replaced },
          ...{ contradicted: end.claims.contradicted, faults: end.judge.faults },
          evidence: { score, threshold, verdict, confidence, namedRegions, extent },
        }),
      ),
    );
  });
  return lines.map((line) => `${line}\n`).join('');
}
