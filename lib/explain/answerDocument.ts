import type { Confidence } from './evidence.js';

/** What a claim is about. 'other': a sentence that says something the numbers cannot confirm or deny. */
export type ClaimKind = 'verdict' | 'score' | 'threshold' | 'region' | 'extent' | 'confidence' | 'other';
export type ClaimStatus = 'supported' | 'contradicted' | 'not checkable';

/** One claim of a text, compared with the evidence. */
export interface Claim {
  kind: ClaimKind;
  status: ClaimStatus;
  /** The words that carry it, as they stand in the text. */
  text: string;
  /** Offsets of `text` in the checked text, in UTF-16 units, end exclusive. */
  start: number;
  end: number;
  /** Which sentence of the text, from 0. */
  sentence: number;
  /** "The nose is not marked" denies. */
  polarity: 'asserted' | 'denied';
  /** What is claimed: 'fake', 'real', a region's name, a percentage, a confidence word; null for 'other'. */
  value: string | number | null;
  /** The numbers it was compared with, by name: { score: 0.91, threshold: 0.72 } or { region: 'nose', mean: 0.12, named: false } ... */
  evidence: Readonly<Record<string, number | string | boolean | null | readonly string[]>>;
  /** Why, in one short sentence. */
  reason: string;
}

/** A text after checking. */
export interface CheckedText {
  claims: readonly Claim[];
  /** Regions that the detector names and the text, though it says where, leaves out. */
  omitted: readonly string[];
}

/** How the language model learnt of the evidence. 'sentences': no language model, the text is made from the evidence. */
export type Conditioning = 'prompts' | 'text' | 'sentences';

/** One question to the language model: the first, or one that sent the evidence back. */
export interface AnswerRound {
  text: string;
  claims: number;
  supported: number;
  contradicted: number;
  omitted: readonly string[];
  tokens: AnswerTokens;
  stop: 'end' | 'length' | 'abort';
}

export interface AnswerTokens {
  /** Evaluated in this round, without what was in the context before. */
  prompt: number;
  generated: number;
}

/** A sentence of the last round that contradicted the evidence, and the evidence's own sentence that stands in its place. */
export interface Replacement {
  was: string;
  now: string;
  reason: string;
}

export interface FileIdentity {
  name: string;
  sha256: string;
}

/** The answer to one question about one face, schema `kfd.answer/1`. */
export interface Answer {
  schema: 'kfd.answer/1';
  question: string;
  /** What the user reads: checked, contradicted sentences replaced. */
  text: string;
  conditioning: Conditioning;
  /** Who speaks: the language model, the evidence's own sentences, or both. */
  source: 'model' | 'evidence' | 'mixed';
  /** Why no language model (or no soft prompts) spoke though it was asked to; null: nothing fell back. */
  fallback: string | null;
  /** Of `text`. None of them is contradicted, except with checking off. */
  claims: readonly Claim[];
  omitted: readonly string[];
  /** False with `check: false`: then `claims` are reported but nothing was sent back or replaced. */
  checked: boolean;
  rounds: readonly AnswerRound[];
  replaced: readonly Replacement[];
  evidence: {
    score: number;
    threshold: number;
    verdict: 'fake' | 'real';
    confidence: Confidence;
    namedRegions: readonly string[];
    extent: number | null;
  };
  tokens: AnswerTokens;
  /** Milliseconds; firstTokenMs null where nothing was generated. */
  timing: { firstTokenMs: number | null; totalMs: number };
  stop: 'end' | 'length' | 'abort';
  models: {
    detector: FileIdentity | null;
    languageModel: FileIdentity | null;
    adapter: (FileIdentity & { scale: number }) | null;
    prompts: FileIdentity | null;
  };
}
