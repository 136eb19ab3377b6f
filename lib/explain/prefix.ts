import { createHash } from 'node:crypto';
import { KfdError } from '../errors.js';
import { PREFIX_TEMPLATE } from '../setup/explainerManifest.js';
import { percentOf, type Evidence } from './evidence.js';

/**
 * The prefix of a dialogue, template kfd.prefix/1: text, the visual token, text, the forgery prompts, the score token;
 * the first question follows. Explainers are trained for exactly this (python/kfd_explain has the same), so a change
 * here is a new template.
 */

/** What the detector's prompt learner makes of one face, rows as wide as the language model's embeddings. */
export interface SoftRows {
  /** Visual token, [width]. */
  readonly visual: Float32Array;
  /** Forgery prompts, [9 * width]. */
  readonly forgery: Float32Array;
  readonly width: number;
}

/** The plain text around the soft rows. */
export interface PrefixText {
  /** Before the visual token, in the user's turn. */
  readonly head: string;
  /** Between the visual token and the forgery prompts: every number that an answer may give. */
  readonly middle: string;
}

/**
 * The text of a face's prefix. Scores and the confidence word stand in it as text, because a small language model does
 * not read numbers from soft rows; the regions do not, because they are what the soft rows carry.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT where the evidence has no extent: the crop is not canonical
 */
export function prefixText(evidence: Evidence): PrefixText {
  const { score, threshold, extent } = percentOf(evidence);
  if (extent === null) {
    throw new KfdError('ERR_KFD_INVALID_ARGUMENT', 'The face has no extent: its crop is not canonical.', {
      hint: "Detect with faces 'largest' or 'all', so that the face is aligned.",
    });
  }
  return {
    head: '<Img>',
    middle:
      `</Img> According to deepfake prediction, the forgery score is ${score}%. ` +
      `From ${threshold}% on a face counts as fake, so this face is ${evidence.verdict}, ` +
      `${evidence.confidence} sure. The map marks ${extent}% of the face. `,
  };
}

/** The score token: p(real), p(fake), p(real) ... over the whole width, as KFD does at inference (spec/kfd.md 10). */
export function scoreRow(score: number, width: number): Float32Array {
  return Float32Array.from({ length: width }, (_, i) => (i % 2 === 0 ? 1 - score : score));
}

/** Forgery prompts and score token, the rows after the text: [(9 + 1) * width]. */
export function evidenceRows(rows: SoftRows, score: number): Float32Array {
  const all = new Float32Array(rows.forgery.length + rows.width);
  all.set(rows.forgery);
  all.set(scoreRow(score, rows.width), rows.forgery.length);
  return all;
}

export interface PrefixKeyParts {
  languageModel: string;
  adapter: string;
  scale: number;
  prompts: string;
  text: PrefixText;
  rows: readonly Float32Array[];
}

/**
 * What a saved prefix belongs to: a state that was made with another model, adapter, scale or evidence loads without an
 * error and gives fluent nonsense, so states are only ever looked up by this.
 *
 * @returns SHA-256, 64 hexadecimal digits
 */
export function prefixKey({ languageModel, adapter, scale, prompts, text, rows }: PrefixKeyParts): string {
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([PREFIX_TEMPLATE, languageModel, adapter, scale, prompts, text.head, text.middle]),
  );
  for (const { buffer, byteOffset, byteLength } of rows) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
