import type { Lexeme } from './lexemes.js';
import type { Mood } from './mood.js';
import type { RawClaim } from './rawClaim.js';

/** So many words may stand between "not" and "sure". */
const REACH = 4;

/** The negation before a confidence word, where nothing but small words stands between. */
function negationBefore(clause: readonly Lexeme[], index: number): Lexeme | undefined {
  for (let back = index - 1; back >= Math.max(0, index - REACH); back -= 1) {
    const lexeme = clause[back];
    if (lexeme?.tag === 'negation') return lexeme;
    if (
      !lexeme ||
      !(lexeme.verb || ['word', 'filler', 'article', 'indefinite', 'pronoun'].includes(lexeme.tag))
    )
      break;
  }
  return undefined;
}

/** "A certain region", "certain parts": no confidence. */
function isAdjective(clause: readonly Lexeme[], index: number): boolean {
  const next = clause[index + 1]?.tag;
  return next === 'any' || next === 'region' || next === 'part';
}

/**
 * How sure the speaker says that he is.
 *
 * @returns the claims, and the negations that belong to them: "not sure that it is fake" does not deny the verdict
 */
export function readConfidence(mood: Mood): { claims: RawClaim[]; consumed: Set<Lexeme> } {
  const clause = mood.active;
  const consumed = new Set<Lexeme>();
  const claims: RawClaim[] = [];
  const verdict = clause.some(({ tag }) => tag === 'fake' || tag === 'real');
  for (const [index, lexeme] of clause.entries()) {
    const adverb = lexeme.tag === 'certainly' && verdict;
    // "91% sure" gives a number, no word.
    const number = clause[index - 1]?.tag === 'number';
    if (!adverb && (lexeme.tag !== 'confidence' || number || isAdjective(clause, index))) continue;
    const negation = adverb ? undefined : negationBefore(clause, index);
    if (negation) consumed.add(negation);
    const level = negation ? 'not very' : adverb ? 'very' : (lexeme.sense.level ?? 'sure');
    const start = negation?.start ?? lexeme.start;
    claims.push({
      kind: 'confidence',
      level,
      polarity: 'asserted',
      possible: mood.possible,
      start,
      end: lexeme.end,
    });
  }
  return { claims, consumed };
}
