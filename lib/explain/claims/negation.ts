import type { Lexeme } from './lexemes.js';

/** Which negations reach which word of a clause. */
export interface Negations {
  /** An odd number of negations reaches the lexeme. Those of a confidence word and of a single region do not count. */
  at(index: number): boolean;
  /** "Not the nose": this region alone is negated. */
  local(index: number): boolean;
}

const PREDICATES = new Set(['fake', 'real', 'manipulation', 'mark', 'trace', 'clean', 'weak']);
const SKIPPED = new Set(['article', 'filler', 'indefinite', 'about', 'between', 'also']);
const PLACES = new Set(['region', 'part']);

/** The next lexeme that is not an article or preposition. */
export function nextContent(clause: readonly Lexeme[], index: number): Lexeme | undefined {
  let next = index + 1;
  while (next < clause.length && SKIPPED.has(clause[next]?.tag ?? '')) next += 1;
  return clause[next];
}

/** "Free of manipulation" negates the noun after it. */
function isNegation(clause: readonly Lexeme[], index: number): boolean {
  const lexeme = clause[index];
  if (lexeme?.tag === 'clean' && /^(free|clear) (of|from)$/.test(lexeme.words)) return true;
  if (lexeme?.tag === 'any' && lexeme.sense.none === true) return true;
  // "Far from authentic".
  const far = lexeme?.tag === 'far' && ['real', 'fake'].includes(clause[index + 1]?.tag ?? '');
  if (far) return true;
  if (lexeme?.tag !== 'negation') return false;
  // "No, ..." is an answer.
  const next = clause[index + 1];
  return !(lexeme.words === 'no' && index === 0 && (!next || next.tag === 'comma' || next.tag === 'stop'));
}

/** "But", or a comma that does not go on with a list of regions, ends what a negation reached. */
function isReset(clause: readonly Lexeme[], index: number): boolean {
  const lexeme = clause[index];
  if (lexeme?.tag === 'break') return lexeme.words === 'but';
  if (/^(rather|instead)$/.test(lexeme?.words ?? '')) return true;
  if (lexeme?.tag !== 'comma') return false;
  const next = nextContent(clause, index);
  return !(next && (PLACES.has(next.tag) || next.tag === 'and'));
}

/** The negations of a clause; `consumed` holds those that belong to a confidence word. */
export function readNegations(clause: readonly Lexeme[], consumed: ReadonlySet<Lexeme>): Negations {
  const reached: boolean[] = [];
  const locals: boolean[] = [];
  let negated = false;
  let local = false;
  let predicate = false;
  clause.forEach((lexeme, index) => {
    if (isNegation(clause, index) && !consumed.has(lexeme)) {
      const next = nextContent(clause, index);
      if (next && PLACES.has(next.tag) && lexeme.tag === 'negation') local = true;
      else negated = lexeme.words === 'nor' || lexeme.words === 'neither' ? true : !negated;
      predicate = false;
    } else if (isReset(clause, index)) {
      if (lexeme.tag !== 'comma' || predicate) negated = false;
      local = false;
    } else if (PREDICATES.has(lexeme.tag)) predicate = true;
    reached.push(negated);
    locals.push(local);
  });
  return { at: (index) => reached[index] ?? false, local: (index) => locals[index] ?? false };
}
