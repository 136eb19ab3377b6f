import type { Lexeme } from './lexemes.js';
import type { Mood } from './mood.js';
import type { Negations } from './negation.js';
import type { Context, RawClaim } from './rawClaim.js';

type Clause = readonly Lexeme[];

/** What is said of regions: manipulated in some way, or clean. */
interface Predicate {
  clean: boolean;
  /** "Marked", "strongest": what the list of named regions decides. */
  naming: boolean;
  weak: boolean;
}

/** A pronoun stands for so many regions at most. */
const LONGEST_LIST = 10;
const MANIPULATED = new Set(['fake', 'manipulation', 'mark', 'trace']);
const PLACES = new Set(['region', 'part', 'any', 'rest']);
const SMALL_WORDS = new Set([
  ...[
    'region',
    'part',
    'article',
    'filler',
    'and',
    'comma',
    'stop',
    'break',
    'negation',
    'only',
    'about',
    'also',
    'indefinite',
  ],
  ...['pronoun', 'yes', 'except', 'certainly'],
]);
const WEAK_PREDICATES =
  /^(suspicious|affected|bright|brighter|elevated|lit|lights up|light up|raised|active)$/;

const isClean = ({ tag, words }: Lexeme): boolean =>
  (tag === 'clean' && !/^(free|clear) (of|from)$/.test(words)) || tag === 'real';

function isPredicate(lexeme: Lexeme): boolean {
  return (
    MANIPULATED.has(lexeme.tag) ||
    isClean(lexeme) ||
    (lexeme.tag === 'weak' && WEAK_PREDICATES.test(lexeme.words))
  );
}

/**
 * For each lexeme the index of the predicate that speaks of it: the next one where a verb leads to it ("the nose is clean"),
 * else the last before ("traces at the nose"), else the next; -1 without any.
 */
function predicateOf(clause: Clause): number[] {
  let last = -1;
  const found = clause.map((lexeme, index) => (last = isPredicate(lexeme) ? index : last));
  let next = -1;
  let verb = false;
  for (let index = clause.length - 1; index >= 0; index -= 1) {
    const lexeme = clause[index] ?? DEFAULT;
    if (isPredicate(lexeme)) [next, verb] = [index, false];
    else {
      verb ||= lexeme.verb;
      if (next >= 0 && (verb || found[index] === -1)) found[index] = next;
    }
  }
  return found;
}

const DEFAULT: Lexeme = { tag: 'word', words: '', sense: {}, verb: false, start: 0, end: 0 };

function describe(clause: Clause, index: number, weak: boolean): Predicate {
  const lexeme = clause[index] ?? DEFAULT;
  // "Marked as manipulated" and "strongest traces" are about marking.
  const naming = lexeme.tag === 'mark' || clause.some(({ tag }) => tag === 'mark');
  return { clean: isClean(lexeme), naming, weak: weak || lexeme.tag === 'weak' };
}

/** One mention of a region, or of another part, and what is said of it. */
interface Mention {
  lexeme: Lexeme;
  predicate: Predicate;
  denied: boolean;
  excepted: boolean;
}

/** The words between an exception and its regions: "except the nose and the left cheek". */
function isException(clause: Clause, index: number): boolean {
  for (let back = index - 1; back >= Math.max(0, index - 8); back -= 1) {
    const tag = clause[back]?.tag ?? '';
    if (tag === 'except') return true;
    if (!['article', 'filler', 'and', 'region', 'indefinite'].includes(tag)) return false;
  }
  return false;
}

function mentionsOf(clause: Clause, negations: Negations, inherited: Predicate | undefined): Mention[] {
  const predicates = predicateOf(clause);
  const weak = clause.some(({ tag }) => tag === 'weak');
  const naming = clause.some(({ tag }) => tag === 'mark');
  const mentions: Mention[] = [];
  clause.forEach((lexeme, index) => {
    if (lexeme.tag !== 'region' && lexeme.tag !== 'part') return;
    const at = predicates[index] ?? -1;
    const own = at >= 0 ? { ...describe([clause[at] ?? DEFAULT], 0, weak) } : undefined;
    const predicate = own ? { ...own, naming: own.naming || naming } : inherited;
    if (!predicate) return;
    // Without a predicate of its own the clause's verb carries the negation: "the left cheek is not".
    const reach = at >= 0 ? Math.max(at, index) : clause.length - 1;
    const local = negations.local(index);
    const denied = negations.at(reach) !== local;
    mentions.push({ lexeme, predicate, denied, excepted: isException(clause, index) });
  });
  return mentions;
}

/** The fragment "the nose and the left cheek", the whole of an answer to "where?". */
function isFragment(clause: Clause): boolean {
  return !clause.some(({ verb }) => verb) && clause.every(({ tag }) => SMALL_WORDS.has(tag));
}

/** "... and the left cheek is not", "so is the nose". */
function isElliptic(clause: Clause): boolean {
  return clause.every(({ tag, verb }) => verb || SMALL_WORDS.has(tag));
}

/** "The whole face is clean" says that no region is manipulated; "not the whole face" only that not all of it is. */
function claimOf(mention: Mention, mood: Mood): RawClaim[] {
  const { lexeme, predicate, denied } = mention;
  const names = lexeme.sense.regions ?? [];
  const asserted = denied === predicate.clean;
  const span = { start: lexeme.start, end: lexeme.end, possible: mood.possible };
  const polarity = asserted ? 'asserted' : 'denied';
  if (lexeme.tag === 'part') return [{ ...span, kind: 'part', name: lexeme.words, polarity }];
  if (!asserted && predicate.clean && names[0] === 'full face')
    return [{ ...span, kind: 'any', except: [], naming: false, count: null, polarity }];
  const { naming, weak } = predicate;
  const each = lexeme.sense.each === true ? names.map((name) => [name]) : [names];
  return each.map((group) => ({ ...span, kind: 'region', names: group, naming, weak, polarity }));
}

/** "No region", "nothing stands out", "some regions", "the rest of the face is clean", "only the nose". */
function anyClaims(
  clause: Clause,
  mood: Mood,
  negations: Negations,
  mentions: readonly Mention[],
  context: Context,
): RawClaim[] {
  const predicates = predicateOf(clause);
  const naming = clause.some(({ tag }) => tag === 'mark');
  const exceptions = mentions.filter(({ excepted }) => excepted);
  const excepted = new Set(exceptions.flatMap(({ lexeme }) => lexeme.sense.regions ?? []));
  const free = exceptions.length === mentions.length;
  const claims: RawClaim[] = [];
  clause.forEach((lexeme, index) => {
    if (lexeme.tag !== 'any' && lexeme.tag !== 'rest') return;
    const at = predicates[index] ?? -1;
    // "Nothing" is a negation itself; "nothing else" is one phrase.
    const none = lexeme.tag === 'rest' && /^(no|nothing|nowhere) /.test(lexeme.words);
    if (at < 0 && !((none || lexeme.sense.none === true) && isBare(clause))) return;
    // "Nothing suggests that the picture is fake" is a verdict.
    if (lexeme.sense.none === true && clause.some(({ tag }) => tag === 'face')) return;
    const clean = at >= 0 && isClean(clause[at] ?? DEFAULT);
    const negated = negations.at(Math.max(at, index)) !== none;
    const denied = negated !== clean;
    const rest = lexeme.tag === 'rest' ? [...context.asserted] : [];
    const span = { start: lexeme.start, end: lexeme.end, possible: mood.possible };
    const some = /^(some|several|certain|a|an|one|many|specific|any)$/.test(clause[index - 1]?.words ?? '');
    if (denied && free)
      claims.push({
        ...span,
        kind: 'any',
        except: [...new Set([...rest, ...excepted])],
        naming,
        count: null,
        polarity: 'denied',
      });
    else if (!denied && free && (context.question || (some && lexeme.tag === 'any')))
      claims.push({ ...span, kind: 'any', except: rest, naming, count: null, polarity: 'asserted' });
  });
  // A count in the same clause has said it already.
  return claims.slice(0, 4);
}

function isBare(clause: Clause): boolean {
  return clause.every(({ tag }) => SMALL_WORDS.has(tag) || tag === 'any');
}

/** "Only the nose is marked": nothing else is. */
function exclusiveClaim(clause: Clause, mood: Mood, claims: readonly RawClaim[]): RawClaim[] {
  const only = clause.findIndex(({ tag }) => tag === 'only');
  const first = clause.findIndex(({ tag }) => tag === 'region');
  const lexeme = clause[only];
  const names = claims.flatMap((claim) =>
    claim.kind === 'region' && claim.polarity === 'asserted' ? claim.names : [],
  );
  if (!lexeme || first < 0 || names.length === 0 || Math.abs(first - only) > 3) return [];
  const end = Math.max(lexeme.end, clause[first]?.end ?? 0);
  const start = Math.min(lexeme.start, clause[first]?.start ?? 0);
  return [
    {
      kind: 'any',
      except: [...new Set(names)],
      naming: true,
      count: null,
      polarity: 'denied',
      possible: mood.possible,
      start,
      end,
    },
  ];
}

/** Pronoun and verdict word: "It is manipulated", after a clause about the nose. */
function pronounMentions(clause: Clause, negations: Negations, context: Context): Mention[] {
  const pronoun = clause.find(({ tag, words }) => tag === 'pronoun' && /^(it|they|these)$/.test(words));
  const at = clause.findIndex((lexeme) => isPredicate(lexeme));
  if (
    !pronoun ||
    at < 0 ||
    clause.indexOf(pronoun) > at ||
    clause.some(({ tag }) => PLACES.has(tag) || tag === 'face')
  )
    return [];
  const predicate = describe(clause, at, false);
  return context.subjects.map(({ tag, sense, words, verb }) => ({
    lexeme: { tag, sense, words, verb, start: pronoun.start, end: clause[at]?.end ?? pronoun.end },
    predicate,
    denied: negations.at(at),
    excepted: false,
  }));
}

/** Regions that a clause names or denies. Leaves in the context what later clauses refer to. */
export function readRegions(mood: Mood, negations: Negations, context: Context): RawClaim[] {
  const clause = mood.active;
  const own = clause.some((lexeme) => isPredicate(lexeme));
  const assertion: Predicate = { clean: false, naming: true, weak: false };
  const fallback = isFragment(clause)
    ? (context.predicate ?? assertion)
    : isElliptic(clause)
      ? (context.predicate ?? (context.where ? assertion : undefined))
      : undefined;
  const mentions = mentionsOf(clause, negations, own ? undefined : fallback);
  const main = mentions.find(({ excepted }) => !excepted);
  const places = anyClaims(clause, mood, negations, mentions, context);
  for (const mention of mentions)
    if (mention.excepted) {
      const opposite = main ? !main.denied : places[0]?.polarity !== 'denied';
      mention.denied = opposite !== mention.predicate.clean;
    }
  const pronouns = pronounMentions(clause, negations, context);
  const regions = [...mentions, ...pronouns].flatMap((mention) => claimOf(mention, mood));
  const claims = [...regions, ...places, ...exclusiveClaim(clause, mood, regions)];
  for (const claim of regions)
    if (claim.kind === 'region' && claim.polarity === 'asserted')
      claim.names.forEach((name) => context.asserted.add(name));
  remember(clause, mentions, context);
  return claims;
}

function remember(clause: Clause, mentions: readonly Mention[], context: Context): void {
  const nouns = clause.some(({ tag }) => ['face', 'score', 'threshold', 'any', 'rest'].includes(tag));
  const regions = clause.filter(({ tag }) => tag === 'region' || tag === 'part');
  if (regions.length > 0) context.subjects = nouns ? [] : regions.slice(0, LONGEST_LIST);
  else if (nouns) context.subjects = [];
  const last = mentions.at(-1)?.predicate;
  if (last) context.predicate = last;
  else {
    // "The regions named are:" speaks for the list that follows.
    const at = clause.findLastIndex((lexeme) => isPredicate(lexeme));
    const header = clause.some(({ tag }) => tag === 'any' || tag === 'mark');
    context.predicate = at >= 0 && header ? describe(clause, at, false) : undefined;
  }
}
