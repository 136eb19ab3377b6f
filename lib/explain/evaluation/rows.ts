import type { Answer, ClaimKind } from '../answerDocument.js';
import type { Evidence } from '../evidence.js';
import type { Judgement } from './judge.js';
import type { Mode } from './modes.js';
import type { QuestionKind } from './questions.js';

/** Claims of a text by what the checker makes of them. */
export interface ClaimCounts {
  supported: number;
  contradicted: number;
  uncheckable: number;
}

/** One text, read by the claim checker and by the second judge. */
export interface TextReading {
  text: string;
  claims: ClaimCounts;
  byKind: Partial<Record<ClaimKind, ClaimCounts>>;
  /** Regions that the checker reads as asserted. */
  regions: readonly string[];
  omitted: readonly string[];
  /** For questions about one region: what the checker makes of the claims on it; null: none is made. */
  asked: 'supported' | 'contradicted' | null;
  judge: Judgement;
  /** It says what the question is about; null for own questions. */
  toThePoint: boolean | null;
}

/** One question and its answer. */
export interface AnswerRow {
  kind: QuestionKind;
  question: string;
  /** The region that a question of kind 'region' is about. */
  region: string | null;
  /** Round 1, before anything was sent back or replaced. */
  first: TextReading;
  /** What the user reads. */
  end: TextReading;
  source: Answer['source'];
  fallback: string | null;
  /** All rounds' texts. */
  rounds: readonly string[];
  replaced: Answer['replaced'];
  /** Of all rounds: evaluated without what was in the context before, and generated. */
  promptTokens: number;
  generatedTokens: number;
  /** Evaluated in round 1 alone. */
  firstPromptTokens: number;
  firstTokenMs: number | null;
  totalMs: number;
  stop: Answer['stop'];
}

export interface DialogueRow {
  /** From the detection to a dialogue that can be asked: the prefix is evaluated. */
  openMs: number;
  answers: readonly AnswerRow[];
}

/** What one mode answered about one face; the rows of `kfd.explain-eval/1`. */
export interface FaceRow {
  mode: Mode;
  image: string;
  group: string | null;
  dialogues: readonly DialogueRow[];
}

/** What every mode is compared with; one an image. */
export interface FaceFacts {
  image: string;
  group: string | null;
  status: 'ok' | 'no-face' | 'error';
  error: { code: string; message: string; hint: string | null } | null;
  evidence: Evidence | null;
  /** The parts of which the true mask covers at least half; null without a mask. */
  maskParts: readonly string[] | null;
}
