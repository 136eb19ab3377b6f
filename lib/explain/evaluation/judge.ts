import { percentOf, type Evidence } from '../evidence.js';
import { LISTING, type QuestionKind } from './questions.js';

/**
 * A second reader of answers, so that the evaluation does not rest on the claim checker alone. It shares no code with it and
 * is much simpler: exact word lists over whole sentences. What it does not understand it leaves out, so its silence proves
 * nothing; what it finds wrong and the checker does not is listed for a person.
 */
export interface Judgement {
  verdict: 'fake' | 'real' | 'both' | null;
  /** Regions that a sentence calls marked. */
  marked: readonly string[];
  /** Regions that a sentence calls not marked. */
  denied: readonly string[];
  /** It says that it cannot answer. */
  refused: boolean;
  /** What contradicts the evidence, in words for a person; empty: nothing found. */
  faults: readonly string[];
}

/** Longest names first: "the right side of the jaw" before "the jaw". */
const REGION_WORDS: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\b(?:whole|entire|full) face\b/g, ['full face']],
  [/\b(?:center|centre|middle) (?:part )?of the face\b/g, ['center face']],
  [/\bbridge of the nose\b|\bnasal bridge\b|\bnose ridge\b/g, ['nose_ridge']],
  [/\bright (?:side of the )?jaw\b/g, ['right jaw']],
  [/\bleft (?:side of the )?jaw\b/g, ['left jaw']],
  [/\b(?:both|the) (?:eyes)\b/g, ['right eye', 'left eye']],
  [/\b(?:both|the) (?:cheeks)\b/g, ['right cheek', 'left cheek']],
  [/\bright eye\b/g, ['right eye']],
  [/\bleft eye\b/g, ['left eye']],
  [/\bright cheek\b/g, ['right cheek']],
  [/\bleft cheek\b/g, ['left cheek']],
  [/\bnose\b/g, ['nose']],
];
/** Parts of which the detector says nothing: calling one marked is always wrong. */
const FOREIGN_PARTS = /\b(?:mouth|lips?|chin|forehead|hair|ears?|neck|teeth|background|eyebrows?|beard)\b/g;
const CENTER_PARTS = ['nose', 'nose_ridge', 'right eye', 'left eye'];

const REFUSAL =
  /\bcannot (?:tell|say anything|answer|know|determine|judge)\b|\boutside what i\b|\bonly (?:explain|have the)\b|\bdoes not report\b/;
const DENIAL =
  /\bnot\b|n't\b|\bno\b|\bnowhere\b(?! else)|\bneither\b|\bnor\b|\bnothing\b|\bnone\b|\bcannot\b/;
const FINDING =
  /\bmark|\blights? up\b|\btraces?\b|\bbright|\bmanipulat|\bforged\b|\balter|\btamper|\bedited\b|\bsuspicious\b/;
const ADVICE = /^(?:look|check|compare|search|zoom|examine)\b/;
const NOTHING_STANDS_OUT = /\bno region\b|\bsingle out a region\b|\bnowhere\b(?! else)/;
const FAKE = /\b(not (?:an? )?)?(?:fake|forged|forgery|deepfake|doctored|tampered with)\b/g;
const REAL = /\b(not (?:an? )?)?(?:real|authentic|genuine|unedited|pristine)\b/g;
/** What states no verdict on this face though it holds such words. */
const NO_VERDICT = [
  /\bforgery (?:score|detector)\b/g,
  /\bfrom \d+(?:\.\d+)? ?% on[^.,;]*/g,
  /\b(?:would|could|might) [^.,;]*/g,
  /\b(?:you|he|she|they) (?:think|believe|say|said|claim)[^.,;]*/g,
  /\bthat the face is forged\b/g,
];

const sentencesOf = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/(?<=[.!?])\s+|\n+/)
    .filter((sentence) => sentence.trim() !== '');

const unique = (names: readonly string[]): string[] => [...new Set(names)].sort();

function verdictOf(sentences: readonly string[]): Judgement['verdict'] {
  const said = new Set<'fake' | 'real'>();
  for (const sentence of sentences) {
    const stripped = NO_VERDICT.reduce((rest, pattern) => rest.replace(pattern, ' '), sentence);
    if (stripped.includes('?')) continue;
    for (const [, negated] of stripped.matchAll(FAKE)) said.add(negated === undefined ? 'fake' : 'real');
    for (const [, negated] of stripped.matchAll(REAL)) said.add(negated === undefined ? 'real' : 'fake');
  }
  const [first, second] = [...said];
  return second === undefined ? (first ?? null) : 'both';
}

function regionsIn(sentence: string): { regions: string[]; foreign: string[] } {
  const regions: string[] = [];
  let rest = sentence;
  for (const [pattern, names] of REGION_WORDS) {
    if (rest.search(pattern) >= 0) regions.push(...names);
    rest = rest.replace(pattern, ' ');
  }
  return { regions, foreign: [...rest.matchAll(FOREIGN_PARTS)].map(([word]) => word) };
}

interface RegionReading {
  marked: string[];
  denied: string[];
  /** Parts that the detector knows nothing of, called marked. */
  foreign: string[];
  /** "No region stands out." */
  nothing: boolean;
}

function readRegions(sentences: readonly string[]): RegionReading {
  const reading: RegionReading = { marked: [], denied: [], foreign: [], nothing: false };
  for (const sentence of sentences) {
    if (NOTHING_STANDS_OUT.test(sentence)) reading.nothing = true;
    if (!FINDING.test(sentence) || ADVICE.test(sentence) || sentence.includes('?')) continue;
    const { regions, foreign } = regionsIn(sentence);
    if (DENIAL.test(sentence)) {
      reading.denied.push(...regions);
    } else {
      reading.marked.push(...regions);
      reading.foreign.push(...foreign);
    }
  }
  return reading;
}

/** Named regions and what lies in a named composite. */
function coveredBy(named: readonly string[]): Set<string> {
  const covered = new Set(named);
  if (named.includes('center face')) CENTER_PARTS.forEach((part) => covered.add(part));
  if (named.includes('full face')) {
    REGION_WORDS.forEach(([, names]) => names.forEach((name) => covered.add(name)));
  }
  return covered;
}

function regionFaults(reading: RegionReading, evidence: Evidence, kind: QuestionKind): string[] {
  const covered = coveredBy(evidence.namedRegions);
  const faults = [
    ...unique(reading.marked.filter((name) => !covered.has(name))).map((name) => `${name} is not marked`),
    ...unique(reading.denied.filter((name) => covered.has(name))).map((name) => `${name} is marked`),
    ...unique(reading.foreign).map((word) => `the detector knows no ${word}`),
  ];
  if (reading.nothing && evidence.namedRegions.length > 0) {
    faults.push(`${evidence.namedRegions.join(', ')} stand out`);
  }
  const missing = evidence.namedRegions.filter((name) => !reading.marked.includes(name));
  if (LISTING.includes(kind) && reading.marked.length > 0 && missing.length > 0) {
    faults.push(`${missing.join(', ')} left out`);
  }
  return faults;
}

function numberFaults(sentences: readonly string[], evidence: Evidence): string[] {
  const percent = percentOf(evidence);
  const faults: string[] = [];
  for (const sentence of sentences) {
    for (const match of sentence.matchAll(/(\d+(?:\.\d+)?) ?%/g)) {
      const value = Number(match[1]);
      const before = sentence.slice(0, match.index);
      const after = sentence.slice(match.index + match[0].length);
      if (/from $/.test(before) && /^ to 100%/.test(after)) continue; // the scale
      if (/from 0% to $/.test(before)) continue;
      const [what, right] =
        /\bthreshold of $|\bthreshold is $|\bfrom $/.test(before) || /^ on\b/.test(after)
          ? ['threshold', percent.threshold]
          : /^ of the face\b/.test(after)
            ? ['extent', percent.extent]
            : ['score', percent.score];
      if (value !== right) faults.push(`${match[0]} for the ${what} of ${String(right)}%`);
    }
  }
  return faults;
}

function relationFaults(text: string, { verdict }: Evidence): string[] {
  const above = /\b(?:reaches|exceeds|is above|lies above|over) the threshold\b/.test(text);
  const below = /\b(?:stays|is|lies|falls) (?:below|under) the threshold\b/.test(text);
  if (above && verdict === 'real') return ['above the threshold on a real face'];
  return below && verdict === 'fake' ? ['below the threshold on a fake face'] : [];
}

/** Reads an answer to a question of some kind about a face. */
export function judge(text: string, kind: QuestionKind, evidence: Evidence): Judgement {
  const sentences = sentencesOf(text);
  const lower = text.toLowerCase();
  const verdict = verdictOf(sentences);
  const regions = readRegions(sentences);
  const faults: string[] = [];
  if (verdict !== null && verdict !== evidence.verdict) faults.push(`verdict ${verdict}`);
  for (const [, word = ''] of lower.matchAll(/\b(very|fairly|not very) sure\b/g)) {
    // "not very sure" holds "very sure": the alternative that begins earlier is found
    if (word !== evidence.confidence) faults.push(`${word} sure for ${evidence.confidence}`);
  }
  faults.push(...regionFaults(regions, evidence, kind));
  faults.push(...numberFaults(sentences, evidence), ...relationFaults(lower, evidence));
  return {
    verdict,
    marked: unique(regions.marked),
    denied: unique(regions.denied),
    refused: REFUSAL.test(lower),
    faults,
  };
}
