import type { Lexeme } from './lexemes.js';

/** A part of a sentence with a verb of its own, or the whole of a fragment. */
export type Clause = readonly Lexeme[];

const SOFT = new Set(['comma', 'break', 'and']);

const isBoundary = ({ tag }: Lexeme): boolean => tag === 'stop' || SOFT.has(tag);

/** Words that stand before a main clause and belong to it, or that continue the clause before. */
function continues(segment: Clause): boolean {
  return segment.find(({ tag }) => tag !== 'comma' && tag !== 'and')?.words === 'that';
}

const hasVerb = (segment: Clause): boolean => segment.some(({ verb }) => verb);

/** Pieces between boundaries; each piece begins with its boundary. */
function segments(lexemes: readonly Lexeme[]): Lexeme[][] {
  const pieces: Lexeme[][] = [[]];
  for (const lexeme of lexemes) {
    const current = pieces.at(-1);
    const open = current?.every(isBoundary) === true && lexeme.tag !== 'stop';
    if (isBoundary(lexeme) && !open) pieces.push([lexeme]);
    else current?.push(lexeme);
  }
  return pieces;
}

/** Plural verbs: what stands before "and" may be their subject too. */
const PLURAL_VERBS = new Set([
  'are',
  'were',
  'have',
  'look',
  'appear',
  'seem',
  'remain',
  "aren't",
  "weren't",
]);

/**
 * How many of the verbless pieces before a piece with a verb are its subject: all from a conjunction on ("whereas the eyes,
 * the cheeks and the jaw are clean"), or the one before "and" where the verb is plural.
 */
function subjectPieces(pending: readonly Clause[], piece: Clause): number {
  const from = pending.findLastIndex(([first, second]) => first?.tag === 'break' || second?.tag === 'break');
  if (from >= 0) return pending.length - from;
  const plural = PLURAL_VERBS.has(piece.find(({ verb }) => verb)?.words ?? '');
  return plural && pending.length > 0 && piece[0]?.tag === 'and' ? 1 : 0;
}

/**
 * Splits a sentence where both sides have a verb: "the nose is marked and the left cheek is not" is two clauses, "the nose
 * and the left cheek are marked" one. Semicolons, colons, brackets and dashes always split.
 */
export function splitClauses(lexemes: readonly Lexeme[]): Clause[] {
  const clauses: Lexeme[][] = [];
  let current: Lexeme[] = [];
  // Verbless pieces after the clause's verb, which may turn out to be the next clause's subject.
  let pending: Lexeme[][] = [];
  let verbs = false;
  const finish = (next: Lexeme[][]): void => {
    if (current.length > 0) clauses.push(current);
    [current, pending, verbs] = [next.flat(), [], false];
  };
  for (const piece of segments(lexemes)) {
    const hard = piece[0]?.tag === 'stop';
    const split = verbs && hasVerb(piece) && !continues(piece);
    if (hard || split) {
      const kept = pending.length - (hard ? 0 : subjectPieces(pending, piece));
      const moved = pending.slice(kept);
      current = current.concat(pending.slice(0, kept).flat());
      finish(moved);
    }
    if (verbs && !hasVerb(piece)) pending.push(piece);
    else {
      for (const lexeme of [...pending.flat(), ...piece]) current.push(lexeme);
      pending = [];
    }
    verbs ||= hasVerb(piece);
  }
  current = current.concat(pending.flat());
  finish([]);
  return clauses;
}
