import type { Lexeme } from './lexemes.js';
import { isFromOn, type Mood } from './mood.js';
import { nextContent, type Negations } from './negation.js';
import type { Bound, Context, NumberRange, RawClaim } from './rawClaim.js';

type Clause = readonly Lexeme[];
type Role = 'score' | 'threshold' | 'extent' | 'count' | { region: string };

/** So many lexemes may stand between "below" and "the threshold". */
const REACH = 4;
const FACE_NOUNS = new Set(['face', 'pronoun']);
/** A fraction is an extent only next to one of these. */
const EXTENT_SIGNS = new Set(['extent', 'mark', 'fake', 'manipulation', 'weak']);

/** "34% of the face": the words after a number or fraction say so. */
function isOfFace(clause: Clause, index: number): boolean {
  const [of, next] = [clause[index + 1], nextContent(clause, index)];
  if (next === undefined || !FACE_NOUNS.has(next.tag)) return false;
  return (
    of?.words === 'of' || (of?.tag === 'article' && clause[index]?.tag === 'fraction') || of?.words === 'face'
  );
}

function boundOf(clause: Clause, index: number): Bound {
  let before = clause[index - 1];
  if (before?.tag === 'article') before = clause[index - 2];
  if (before?.tag === 'about' || before?.tag === 'close') return 'about';
  // "Reaches 91%" says that it is 91 %.
  if (before?.tag === 'above') return /^reach/.test(before.words) ? 'exact' : 'atLeast';
  return before?.tag === 'below' ? 'atMost' : 'exact';
}

function hasTag(clause: Clause, from: number, to: number, tags: readonly string[]): number {
  for (let at = Math.max(0, from); at <= Math.min(clause.length - 1, to); at += 1)
    if (tags.includes(clause[at]?.tag ?? '')) return at;
  return -1;
}

/** What the nouns of a clause have said so far. */
interface Nouns {
  topic: Context['topic'];
  region: string | undefined;
  estimate: boolean;
}

function follow(nouns: Nouns, lexeme: Lexeme): void {
  if (lexeme.tag === 'score' || lexeme.tag === 'estimate') [nouns.topic, nouns.region] = ['score', undefined];
  if (lexeme.tag === 'estimate') nouns.estimate = true;
  if (lexeme.tag === 'threshold' || lexeme.tag === 'extent')
    [nouns.topic, nouns.region] = [lexeme.tag, undefined];
  if (lexeme.tag === 'region') [nouns.topic, nouns.region] = [undefined, lexeme.sense.regions?.[0]];
  if (lexeme.tag === 'face') nouns.region = undefined;
}

function roleOf(
  clause: Clause,
  index: number,
  nouns: Nouns,
  context: Context,
  noun: boolean,
): Role | undefined {
  const quantity = clause[index]?.quantity;
  const next = clause[index + 1]?.tag;
  // "19 points above the threshold" is a distance.
  if (!quantity || /^(points?|percentage)$/.test(clause[index + 1]?.words ?? '')) return undefined;
  if (isFromOn(clause, index)) return 'threshold';
  if (isOfFace(clause, index)) return 'extent';
  if (next === 'any') return quantity.percent ? 'extent' : 'count';
  if (next === 'score' || next === 'threshold' || next === 'extent') return next;
  const written = quantity.percent || (quantity.decimal && quantity.high <= 100);
  if (['estimate', 'fake', 'real', 'confidence'].includes(next ?? '')) return written ? 'score' : undefined;
  if (nouns.region !== undefined) return written ? { region: nouns.region } : undefined;
  // "Forgery score: 91".
  const alone = context.topic !== undefined && clause[index - 1]?.words === ':' && clause.length === 2;
  const nearby = alone || hasTag(clause, index - 3, index - 1, ['score', 'threshold']) >= 0;
  if (!written && !(nearby && quantity.high <= 100)) return undefined;
  if (nouns.topic) return nouns.topic;
  const after = clause[index + 1];
  const marked = after?.verb === true && hasTag(clause, index + 1, index + 3, ['mark', 'fake']) >= 0;
  if (marked || clause.slice(Math.max(0, index - 3), index).some(({ words }) => /^marks?$/.test(words)))
    return 'extent';
  return noun ? 'score' : (context.topic ?? 'score');
}

/** "A 9% chance that it is real" is a score of 91 %. */
function inverted(clause: Clause, index: number, nouns: Nouns, real: boolean): boolean {
  const [next, after] = [clause[index + 1]?.tag, nextContent(clause, index + 1)?.tag];
  if (next === 'real') return true;
  if (next === 'confidence' || next === 'estimate' || nouns.estimate) return real;
  return after === 'real' && next === undefined;
}

function complement({ low, high, bound }: NumberRange): NumberRange {
  const turned: Bound = bound === 'atLeast' ? 'atMost' : bound === 'atMost' ? 'atLeast' : bound;
  return { low: 100 - high, high: 100 - low, bound: turned };
}

/** Percentages and numbers of regions. Leaves in the context what a bare number in the next clause is about. */
export function readNumbers(mood: Mood, negations: Negations, context: Context): RawClaim[] {
  const clause = mood.active;
  const claims: RawClaim[] = [];
  const nouns: Nouns = { topic: undefined, region: undefined, estimate: false };
  const verdict = clause.some(({ tag }) => tag === 'fake' || tag === 'real');
  const real = clause.some(({ tag }) => tag === 'real');
  const manipulated = clause.some(({ tag }) => tag === 'fake' || tag === 'manipulation');
  for (const [index, lexeme] of clause.entries()) {
    follow(nouns, lexeme);
    const { quantity } = lexeme;
    const denied = hasTag(clause, index - 3, index - 1, ['negation']) >= 0;
    const span = { start: lexeme.start, end: lexeme.end, possible: mood.possible };
    const polarity = denied ? 'denied' : 'asserted';
    const last = negations.at(clause.length - 1) && !denied;
    if (lexeme.tag === 'fraction' && lexeme.sense.range) {
      const near = clause.slice(Math.max(0, index - 4), index).some(({ tag }) => EXTENT_SIGNS.has(tag));
      const asked = context.topic === 'extent' && nouns.topic === undefined && clause.length <= 4;
      if (!isOfFace(clause, index) && !asked && !(near && nextContent(clause, index)?.tag !== 'region'))
        continue;
      const [low, high] = lexeme.sense.range;
      const range: NumberRange = { low, high, bound: 'exact' };
      claims.push({
        ...span,
        polarity,
        kind: 'extent',
        range: last ? complement(range) : range,
        fraction: true,
        manipulated,
      });
    }
    if (!quantity) continue;
    const role = roleOf(clause, index, nouns, context, verdict);
    const range: NumberRange = { low: quantity.low, high: quantity.high, bound: boundOf(clause, index) };
    if (role === 'count')
      claims.push({ ...span, polarity, kind: 'any', except: [], naming: true, count: quantity.low });
    else if (role === 'extent')
      claims.push({
        ...span,
        polarity,
        kind: 'extent',
        range: last ? complement(range) : range,
        fraction: false,
        manipulated,
      });
    else if (role === 'threshold' || (role === 'score' && mood.generic && range.bound !== 'exact'))
      claims.push({ ...span, polarity, kind: 'threshold', range: { ...range, bound: 'exact' } });
    else if (role === 'score')
      claims.push({
        ...span,
        polarity,
        kind: 'score',
        range: inverted(clause, index, nouns, real) ? complement(range) : range,
      });
    else if (role) claims.push({ ...span, polarity, kind: 'mean', region: role.region, range });
  }
  context.topic = nouns.topic ?? context.topic;
  return claims;
}

type Relation = 'above' | 'below' | 'close' | 'far';
const INVERSE = { above: 'below', below: 'above', close: 'close', far: 'far' } as const;

/** "The threshold is exceeded": nothing stands after it. */
function isPassive(clause: Clause, index: number): boolean {
  return /^(exceeded|reached|passed|crossed|met)$/.test(clause[index]?.words ?? '');
}

/** What a clause says about score and threshold without numbers: "stays below the threshold", "a high score". */
export function readRelations(mood: Mood): RawClaim[] {
  const clause = mood.active;
  if (mood.generic) return [];
  const claims: RawClaim[] = [];
  let subject: string | undefined;
  for (const [index, lexeme] of clause.entries()) {
    const { tag } = lexeme;
    if (tag === 'score' || tag === 'threshold') subject = tag;
    const polarity = hasTag(clause, index - 3, index - 1, ['negation']) >= 0 ? 'denied' : 'asserted';
    const base = { polarity, possible: mood.possible, start: lexeme.start } as const;
    if (tag === 'level') {
      const end = levelEnd(clause, index);
      if (end !== undefined) claims.push({ ...base, kind: 'level', high: lexeme.sense.high === true, end });
    }
    if (tag !== 'above' && tag !== 'below' && tag !== 'close' && tag !== 'far') continue;
    const object = hasTag(clause, index + 1, index + REACH, ['threshold', 'score', 'number']);
    const noun = clause[object];
    let relation: Relation | undefined;
    if (noun?.tag === 'threshold' || thresholdAfter(clause, object)) relation = tag;
    else if (subject === 'threshold' && noun?.tag === 'score') relation = INVERSE[tag];
    else if (subject === 'threshold' && isPassive(clause, index)) relation = 'above';
    if (relation)
      claims.push({ ...base, kind: 'relation', relation, end: Math.max(lexeme.end, noun?.end ?? 0) });
  }
  return claims;
}

/** "Below the 72% threshold". */
function thresholdAfter(clause: Clause, index: number): boolean {
  return clause[index]?.tag === 'number' && clause[index + 1]?.tag === 'threshold';
}

/** The end of "high score" or "score is high"; undefined where the word is about something else. */
function levelEnd(clause: Clause, index: number): number | undefined {
  const next = clause[index + 1];
  if (next?.tag === 'score') {
    const general = clause[index - 1]?.tag === 'indefinite' && clause[index - 2]?.verb !== true;
    return general && clause[index - 2]?.words !== 'with' ? undefined : next.end;
  }
  const noun = hasTag(clause, index - 4, index - 1, ['score']);
  const ends = next === undefined || next.tag === 'comma' || next.tag === 'stop' || next.tag === 'filler';
  return noun >= 0 && ends && clause[index - 1]?.tag !== 'article' ? clause[index]?.end : undefined;
}
