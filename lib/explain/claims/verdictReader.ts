import type { Lexeme } from './lexemes.js';
import type { Mood } from './mood.js';
import { nextContent, type Negations } from './negation.js';
import type { Context, RawClaim } from './rawClaim.js';

/** What the sentence is speaking of when a verdict word comes. */
type Subject = 'face' | 'region' | 'other' | 'general' | undefined;

const PLACES = new Set(['region', 'part', 'any', 'rest']);
const PLURAL = /s$/;
const PRONOUNS = new Set(['it', 'this', 'they', 'these', 'he', 'she']);
/** Things whose being "generated" or "original" is no verdict. */
const OTHER_SUBJECTS = /^(map|heatmap|explanation|report|text|statement|prompt|sentence)$/;
/** Of the face as a whole these say that it is real. */
const SOUND =
  /^(clean|fine|ok|okay|intact|normal|unremarkable|unsuspicious|inconspicuous|in order|all right|flawless)$/;

/** "34% of the face", "half the face", "part of the face": not the face as a whole. */
function isPartial(clause: readonly Lexeme[], index: number): boolean {
  const before = clause[index - 1]?.tag === 'article' ? index - 2 : index - 1;
  const of = clause[before]?.words === 'of';
  const quantity = clause[of ? before - 1 : before]?.tag;
  return quantity === 'fraction' || (of && (quantity === 'number' || quantity === 'any'));
}

/** @param verb a verb stands before: "I see a face" means this one, "a face counts as fake" any */
function subjectAfter(
  clause: readonly Lexeme[],
  index: number,
  subject: Subject,
  verb: boolean,
  context: Context,
): Subject {
  const lexeme = clause[index];
  if (!lexeme) return subject;
  if (lexeme.tag === 'face') {
    if (isPartial(clause, index)) return 'region';
    const general = (clause[index - 1]?.tag === 'indefinite' && !verb) || PLURAL.test(lexeme.words);
    return general && !context.question ? 'general' : 'face';
  }
  if (PLACES.has(lexeme.tag)) return 'region';
  if (lexeme.tag === 'pronoun' && PRONOUNS.has(lexeme.words))
    return context.subjects.length > 0 && lexeme.words !== 'this' ? 'region' : 'face';
  return OTHER_SUBJECTS.test(lexeme.words) ? 'other' : subject;
}

/** "Real or fake", "fake or not": a choice, no verdict. */
function isChoice(clause: readonly Lexeme[], index: number): boolean {
  const opposite = clause[index]?.tag === 'fake' ? 'real' : 'fake';
  const [before, after] = [clause[index - 1], clause[index + 1]];
  if (after?.words === 'or' && ['negation', opposite].includes(nextContent(clause, index + 1)?.tag ?? ''))
    return true;
  return before?.words === 'or' && clause[index - 2]?.tag === opposite;
}

/** "Search for the original": a thing, not a quality. */
function isOtherPicture(clause: readonly Lexeme[], index: number): boolean {
  if (clause[index]?.words !== 'original' || clause[index - 1]?.tag !== 'article') return false;
  return clause[index - 2]?.verb !== true;
}

function isVerdictWord(clause: readonly Lexeme[], index: number, subject: Subject): boolean {
  const next = clause[index + 1];
  if (next && (PLACES.has(next.tag) || next.tag === 'trace' || next.tag === 'score')) return false;
  if (clause[index - 1]?.tag === 'number' || isChoice(clause, index) || isOtherPicture(clause, index))
    return false;
  if (next?.tag === 'face') return subject !== 'region' || !PLURAL.test(next.words);
  return subject === 'face' || subject === undefined;
}

/** "Signs of manipulation" without a place are a verdict on the face. */
function isManipulationClaim(clause: readonly Lexeme[]): boolean {
  if (clause.some(({ tag }) => PLACES.has(tag) || tag === 'number' || tag === 'fraction')) return false;
  return clause.some(({ tag, verb }) => tag === 'trace' || tag === 'negation' || tag === 'clean' || verb);
}

/** Verdicts on the face: "this image is not authentic", "a deepfake", "no signs of manipulation". */
export function readVerdicts(mood: Mood, negations: Negations, context: Context): RawClaim[] {
  const clause = mood.active;
  if (mood.generic) return [];
  const claims: RawClaim[] = [];
  let subject: Subject;
  let noun = false;
  let verb = false;
  const manipulation = isManipulationClaim(clause);
  const add = (index: number, value: 'fake' | 'real'): void => {
    const lexeme = clause[index];
    if (!lexeme) return;
    const polarity = negations.at(index) ? 'denied' : 'asserted';
    if (
      claims.some((other) => other.kind === 'verdict' && other.value === value && other.polarity === polarity)
    )
      return;
    claims.push({
      kind: 'verdict',
      value,
      polarity,
      possible: mood.possible,
      start: lexeme.start,
      end: lexeme.end,
    });
  };
  for (const [index, lexeme] of clause.entries()) {
    // "The probability that the face is forged": the number is the claim.
    if (lexeme.tag === 'estimate') return claims;
    subject = subjectAfter(clause, index, subject, verb, context);
    verb ||= lexeme.verb;
    noun ||= lexeme.tag === 'face';
    if ((lexeme.tag === 'fake' || lexeme.tag === 'real') && isVerdictWord(clause, index, subject))
      add(index, lexeme.tag);
    else if (lexeme.tag === 'manipulation' && subject !== 'general' && manipulation) add(index, 'fake');
    else if (lexeme.tag === 'clean' && subject === 'face' && noun && SOUND.test(lexeme.words))
      add(index, 'real');
  }
  return claims;
}
