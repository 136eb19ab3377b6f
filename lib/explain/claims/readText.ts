import { splitClauses, type Clause } from './clauses.js';
import { readConfidence } from './confidenceReader.js';
import { readLexemes, type Lexeme } from './lexemes.js';
import { readMood } from './mood.js';
import { readNegations } from './negation.js';
import { readNumbers, readRelations } from './numberReader.js';
import type { Context, RawClaim } from './rawClaim.js';
import { readRegions } from './regionReader.js';
import type { Sentence } from './sentenceSplit.js';
import { readVerdicts } from './verdictReader.js';

/** From so many words on a sentence without a claim says something. */
const SHORTEST_STATEMENT = 3;
const HARMLESS = new Set(['harmless', 'estimate', 'cannot', 'hypothetical', 'reported', 'maybe', 'yes']);

function foreignClaim(active: readonly Lexeme[], possible: boolean): RawClaim[] {
  const [first, last] = [active[0], active.at(-1)];
  if (!first || !last || !active.some(({ tag }) => tag === 'foreign')) return [];
  const from =
    active.find(({ tag }) => tag !== 'comma' && tag !== 'and' && tag !== 'break' && tag !== 'stop') ?? first;
  return [{ kind: 'other', polarity: 'asserted', possible, start: from.start, end: last.end }];
}

function readClause(clause: Clause, context: Context): { claims: RawClaim[]; silent: boolean } {
  const mood = readMood(clause, context);
  const { claims: confidence, consumed } = readConfidence(mood);
  const negations = readNegations(mood.active, consumed);
  const claims = [
    ...confidence,
    ...readVerdicts(mood, negations, context),
    ...readRelations(mood),
    ...readNumbers(mood, negations, context),
    ...readRegions(mood, negations, context),
    ...foreignClaim(mood.active, mood.possible),
  ];
  context.silent = mood.silent && mood.active.length === 0;
  context.condition = mood.condition;
  return { claims, silent: mood.silent || mood.generic };
}

/** A sentence that says something, though nothing about score or map. */
function isForeignStatement(lexemes: readonly Lexeme[]): boolean {
  if (lexemes.some(({ tag }) => HARMLESS.has(tag)) || !lexemes.some(({ verb }) => verb)) return false;
  return lexemes.length >= SHORTEST_STATEMENT;
}

/** What a sentence claims, in its order. `context` carries over from sentence to sentence. */
export function readSentence(sentence: Sentence, context: Context): RawClaim[] {
  if (sentence.question && !context.question) return [];
  const lexemes = readLexemes(sentence.tokens);
  const claims: RawClaim[] = [];
  let silent = false;
  [context.silent, context.condition] = [false, false];
  for (const clause of splitClauses(lexemes)) {
    const read = readClause(clause, context);
    for (const claim of read.claims) claims.push(claim);
    silent ||= read.silent;
  }
  if (claims.length === 0 && !silent && !context.question && isForeignStatement(lexemes))
    claims.push({
      kind: 'other',
      polarity: 'asserted',
      possible: false,
      start: sentence.start,
      end: sentence.end,
    });
  return claims.sort((a, b) => a.start - b.start || a.end - b.end);
}
