import type { Lexeme } from './lexemes.js';

interface Span {
  start: number;
  end: number;
  polarity: 'asserted' | 'denied';
  /** "May be fake": a possibility, which nothing was measured about. */
  possible: boolean;
}

/** How a number is meant: "91%", "about 91%", "over 90%", "under 95%". */
export type Bound = 'exact' | 'about' | 'atLeast' | 'atMost';

export interface NumberRange {
  low: number;
  high: number;
  bound: Bound;
}

/** What a clause claims, not yet compared with anything. */
export type RawClaim = Span &
  (
    | { kind: 'verdict'; value: 'fake' | 'real' }
    | { kind: 'score'; range: NumberRange }
    | { kind: 'threshold'; range: NumberRange }
    | { kind: 'level'; high: boolean }
    | { kind: 'relation'; relation: 'above' | 'below' | 'close' | 'far' }
    /** `fraction`: a word such as "half", whose range is already wide. `manipulated`: the words say more than "marked". */
    | { kind: 'extent'; range: NumberRange; fraction: boolean; manipulated: boolean }
    | { kind: 'confidence'; level: 'very' | 'fairly' | 'not very' | 'sure' }
    /** One of `names` is meant. `naming`: about being marked or strongest, which the list of named regions decides. */
    | { kind: 'region'; names: readonly string[]; naming: boolean; weak: boolean }
    /** Denied: no region but `except`. Asserted: some region, or `count` of them. */
    | { kind: 'any'; except: readonly string[]; naming: boolean; count: number | null }
    | { kind: 'mean'; region: string; range: NumberRange }
    | { kind: 'part'; name: string }
    | { kind: 'other' }
  );

/** What earlier clauses leave for later ones. */
export interface Context {
  /** What a bare number is about. */
  topic: 'score' | 'threshold' | 'extent' | undefined;
  /** The regions that a pronoun may stand for: those of the clause before, where it names nothing else. */
  subjects: readonly Lexeme[];
  /** What the clause before said of its regions: "... and the left cheek is not". */
  predicate: { clean: boolean; naming: boolean; weak: boolean } | undefined;
  /** Regions asserted so far: what "the rest of the face" leaves out. */
  asserted: Set<string>;
  /** Reading a question: its words are what a yes or no is about. */
  question: boolean;
  /** The text answers "where?": "it is the nose" names the nose. */
  where: boolean;
  /** The clause before claims nothing (an instruction): a list after its colon neither. */
  silent: boolean;
  /** The clause before is a condition: what follows from it is not claimed. */
  condition: boolean;
}

export function newContext(question: boolean): Context {
  return {
    topic: undefined,
    subjects: [],
    predicate: undefined,
    asserted: new Set(),
    question,
    where: false,
    silent: false,
    condition: false,
  };
}
