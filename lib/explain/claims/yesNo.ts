import type { RawClaim } from './rawClaim.js';
import { newContext } from './rawClaim.js';
import { readSentence } from './readText.js';
import { splitSentences, type Sentence } from './sentenceSplit.js';

const YES = new Set(['yes', 'yeah', 'yep', 'correct', 'indeed', 'exactly', 'affirmative']);
const NO = new Set(['no', 'nope', 'negative', 'nah']);
const QUESTION_STARTS =
  /^(is|are|was|were|does|do|did|has|have|had|can|could|would|should|isn't|aren't|wasn't|doesn't|don't|am)$/;

/** A yes or no at the beginning of an answer, with its place. */
export interface YesNo {
  yes: boolean;
  start: number;
  end: number;
}

/** Reads "Yes", "No," ... at the beginning of a sentence; "No region" is none. */
export function readYesNo(sentence: Sentence): YesNo | undefined {
  const words = sentence.tokens.filter(({ kind }) => kind === 'word');
  const [first] = words;
  if (!first) return undefined;
  const next = sentence.tokens[sentence.tokens.indexOf(first) + 1];
  const alone = !next || next.kind !== 'word' || /^(it|the|this|i|there|that|because)$/.test(next.text);
  if (YES.has(first.text) && alone) return { yes: true, start: first.start, end: first.end };
  return NO.has(first.text) && alone ? { yes: false, start: first.start, end: first.end } : undefined;
}

/**
 * What a "yes" to the question says: "Is the nose fine?" gives the nose denied.
 *
 * @returns undefined where the question is no yes/no question, offers a choice, or asks about several things
 */
export function claimsOfYes(question: string): RawClaim[] | undefined {
  const asked = splitSentences(question).filter((sentence, _, all) => sentence.question || all.length === 1);
  const context = newContext(true);
  for (const sentence of asked) {
    const first = sentence.tokens.find(({ kind }) => kind === 'word')?.text ?? '';
    if (!QUESTION_STARTS.test(first) && !sentence.question) continue;
    // "Isn't it fake?" asks the same as "Is it fake?"; "Is it not fake?" is understood both ways.
    const tokens = sentence.tokens.map((token) =>
      /n't$/.test(token.text) ? { ...token, text: 'is' } : token,
    );
    if (tokens.some(({ text }) => text === 'not' || text === 'or')) return undefined;
    const claims = readSentence({ ...sentence, tokens }, context).filter(({ kind }) => kind !== 'other');
    if (claims.length > 0) return new Set(claims.map(({ kind }) => kind)).size === 1 ? claims : undefined;
  }
  return undefined;
}

/** The claims that a yes or no makes about the question. */
export function yesNoMeaning(answer: YesNo, asked: readonly RawClaim[]): RawClaim[] {
  const flip = { asserted: 'denied', denied: 'asserted' } as const;
  return asked.map((claim) => ({
    ...claim,
    polarity: answer.yes ? claim.polarity : flip[claim.polarity],
    possible: false,
    start: answer.start,
    end: answer.end,
  }));
}
