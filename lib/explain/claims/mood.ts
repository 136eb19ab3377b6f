import type { Clause } from './clauses.js';
import type { Lexeme } from './lexemes.js';
import type { Context } from './rawClaim.js';

/** What of a clause is claimed at all. */
export interface Mood {
  /** The lexemes that the speaker himself states. */
  active: readonly Lexeme[];
  possible: boolean;
  /** "From 72% on a face counts as fake": a rule about faces, no verdict on this one. */
  generic: boolean;
  condition: boolean;
  silent: boolean;
}

const BEFORE_CONTENT = new Set(['and', 'comma', 'break', 'stop', 'yes', 'filler', 'also']);
const UPWARDS = new Set(['on', 'upwards', 'upward', 'onwards', 'onward', 'up']);
/** Conditions that are only ways to speak: "if you look at the map, ...". */
const SPEAKERS = new Set(['you', 'i', 'we', 'one']);

/** "From 72% on", "72% upwards": the number of a rule. */
export function isFromOn(clause: Clause, index: number): boolean {
  const [before, number, after] = [clause[index - 1], clause[index], clause[index + 1]];
  return number?.tag === 'number' && before?.words === 'from' && UPWARDS.has(after?.words ?? '');
}

function isHypothetical(lexeme: Lexeme, question: boolean): boolean {
  return lexeme.tag === 'hypothetical' && !(question && lexeme.words === 'would');
}

/** Where the clause stops being the speaker's own statement; its length where it never does. */
function activeEnd(clause: Clause, question: boolean): number {
  const stop = clause.findIndex(
    ({ tag, words }) =>
      tag === 'cannot' || (tag === 'reported' && !(question && /^you (think|believe|say|find)$/.test(words))),
  );
  return stop < 0 ? clause.length : stop;
}

/** "A score above ... counts as fake": scores in general. */
function aboutScores(content: Clause): boolean {
  if (content[0]?.words === 'scores') return true;
  if (content[0]?.tag !== 'indefinite') return false;
  const noun = content.findIndex(({ tag }) => tag === 'score');
  return noun > 0 && noun <= 2 && content[noun + 1]?.words !== 'of';
}

export function readMood(clause: Clause, context: Context): Mood {
  const first = clause.findIndex(({ tag }) => !BEFORE_CONTENT.has(tag));
  const content = clause.slice(Math.max(first, 0));
  const hypothesis = clause.find((lexeme) => isHypothetical(lexeme, context.question));
  const condition =
    hypothesis !== undefined &&
    /^(if|when|unless|suppose|supposing|assuming|in case)$/.test(hypothesis.words) &&
    !SPEAKERS.has(clause[clause.indexOf(hypothesis) + 1]?.words ?? '');
  const fragment = !content.some(({ verb }) => verb);
  const silent =
    content[0]?.tag === 'instruction' ||
    (context.silent && fragment) ||
    hypothesis !== undefined ||
    context.condition;
  const rule = clause.findIndex((_, index) => isFromOn(clause, index));
  const end = silent ? 0 : activeEnd(clause, context.question);
  return {
    // "From 72% on it would count as fake" states the threshold all the same.
    active:
      silent && rule > 0
        ? clause.slice(rule - 1, rule + 2)
        : end === clause.length
          ? clause
          : clause.slice(0, end),
    possible: clause.some(({ tag }) => tag === 'maybe'),
    generic: aboutScores(content) || rule >= 0,
    condition,
    silent: silent || end === 0,
  };
}
