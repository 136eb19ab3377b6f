import { PHRASES, VERBS, type Phrase, type Sense, type Tag } from './lexicon.js';
import { readQuantity, type Quantity } from './numbers.js';
import type { Token } from './tokens.js';

/** A word or phrase of a sentence and what it does there. */
export interface Lexeme {
  tag: Tag;
  /** Its words in lower case, joined by blanks. */
  words: string;
  sense: Sense;
  verb: boolean;
  start: number;
  end: number;
  quantity?: Quantity;
}

const SIDES = new Set(['left', 'right']);

function matches(tokens: readonly Token[], at: number, phrase: Phrase): boolean {
  return phrase.words.every((word, offset) => tokens[at + offset]?.text === word);
}

function lexeme(tokens: readonly Token[], at: number, next: number, tag: Tag, sense: Sense = {}): Lexeme {
  const used = tokens.slice(at, next);
  const [first, last] = [used[0], used.at(-1)];
  return {
    tag,
    words: used.map(({ text }) => text).join(' '),
    sense,
    verb: used.some(({ text }) => VERBS.has(text)),
    start: first?.start ?? 0,
    end: last?.end ?? 0,
  };
}

/** "left and right cheek": both sides of what follows. */
function readSides(tokens: readonly Token[], at: number): { found: Lexeme; next: number } | undefined {
  const [side, joint, other, noun] = tokens.slice(at, at + 4).map(({ text }) => text);
  if (!SIDES.has(side ?? '') || !SIDES.has(other ?? '') || side === other) return undefined;
  if (joint !== 'and' && joint !== 'or' && joint !== '/') return undefined;
  const singular = (noun ?? '').replace(/(?<=eye|cheek|jaw)s$/, '');
  if (!/^(eye|cheek|jaw)$/.test(singular)) return undefined;
  const regions = [`${side ?? ''} ${singular}`, `${other ?? ''} ${singular}`];
  return { found: lexeme(tokens, at, at + 4, 'region', { regions, each: true }), next: at + 4 };
}

/** "the left eye and cheek": a bare part after a sided one is of the same side. */
function inheritSide(current: Lexeme, before: readonly Lexeme[]): void {
  const joint = before.at(-1)?.tag;
  const sided = before.at(-2);
  if (joint !== 'and' && joint !== 'comma') return;
  if (sided?.tag !== 'region' || sided.sense.regions?.length !== 1) return;
  const side = /^(left|right) /.exec(sided.sense.regions[0] ?? '')?.[1];
  if (side === undefined || !/^(eye|cheek|jaw|jawline)$/.test(current.words)) return;
  current.sense = { regions: (current.sense.regions ?? []).filter((name) => name.startsWith(side)) };
}

function readPhrase(tokens: readonly Token[], at: number): { found: Lexeme; next: number } {
  const token = tokens[at];
  const phrase = PHRASES.get(token?.text ?? '')?.find((candidate) => matches(tokens, at, candidate));
  if (phrase) {
    const next = at + phrase.words.length;
    return { found: lexeme(tokens, at, next, phrase.tag, phrase.sense), next };
  }
  const negated = token?.kind === 'word' && token.text.endsWith("n't");
  return { found: lexeme(tokens, at, at + 1, negated ? 'negation' : 'word'), next: at + 1 };
}

/** Whether the number at `at` is one: number words only with a percent sign, a range or a noun that is counted. */
function isQuantity(tokens: readonly Token[], at: number, next: number, quantity: Quantity): boolean {
  if (tokens[at]?.kind === 'number') return true;
  return (
    quantity.percent ||
    (quantity.low >= 2 && /^(?:region|area|part|spot|place)s$/.test(tokens[next]?.text ?? ''))
  );
}

/** Marks without meaning here, and the hyphens that join words. */
function isNoise(tokens: readonly Token[], at: number): boolean {
  const token = tokens[at];
  if (token?.kind !== 'mark') return false;
  if (/^[.!?…"'“”‘’«»*#`>_]$/.test(token.text)) return true;
  const [before, after] = [tokens[at - 1], tokens[at + 1]];
  return token.text === '-' && (before?.kind !== 'number' || after?.kind !== 'number');
}

/** The lexemes of a sentence: the longest phrase of the lexicon at each place, and numbers. */
export function readLexemes(sentence: readonly Token[]): Lexeme[] {
  const tokens = sentence.filter((_, at) => !isNoise(sentence, at));
  const found: Lexeme[] = [];
  for (let at = 0; at < tokens.length;) {
    const sides = readSides(tokens, at);
    const phrase = sides ?? readPhrase(tokens, at);
    const numeral = phrase.found.tag === 'scale' ? undefined : readNumber(tokens, at, found.at(-1));
    const { found: current, next } = numeral && numeral.next >= phrase.next ? numeral : phrase;
    if (current.tag === 'region') inheritSide(current, found);
    found.push(current);
    at = next;
  }
  return found;
}

function readNumber(
  tokens: readonly Token[],
  at: number,
  before: Lexeme | undefined,
): { found: Lexeme; next: number } | undefined {
  const read = readQuantity(tokens, at, before?.tag === 'between');
  if (!read || !isQuantity(tokens, at, read.next, read.quantity)) return undefined;
  const found = { ...lexeme(tokens, at, read.next, 'number'), quantity: read.quantity };
  return { found, next: read.next };
}
