import type { Evidence } from '../evidence.js';
import { isCovered, PART_NAMES } from '../sentences/regionNames.js';
import { LISTING, UNANSWERABLE } from './questions.js';
import type { AnswerRow, ClaimCounts, FaceFacts, TextReading } from './rows.js';

/** A part of a figure: figures are ratios of sums over answers. */
export interface Share {
  numerator: number;
  denominator: number;
}

/** One answer with what is known of its face. */
export interface AskedAnswer {
  answer: AnswerRow;
  evidence: Evidence;
  facts: FaceFacts;
}

export interface Figure {
  title: string;
  /** Where it should be; null: neither is better. */
  best: 'high' | 'low' | null;
  /** Undefined: the answer does not count here. */
  of: (asked: AskedAnswer) => Share | undefined;
}

const yes = (is: boolean): Share => ({ numerator: is ? 1 : 0, denominator: 1 });

/** Share of the answers with checkable claims of a kind in which none is contradicted. */
function agreement(counts: ClaimCounts | undefined): Share | undefined {
  if (counts === undefined || counts.supported + counts.contradicted === 0) return undefined;
  return yes(counts.contradicted === 0);
}

/** How two sets of regions overlap. */
function overlap(
  found: readonly string[],
  truth: readonly string[],
): { hits: number; found: number; truth: number } {
  return {
    hits: found.filter((name) => truth.includes(name)).length,
    found: found.length,
    truth: truth.length,
  };
}

type Measure = 'precision' | 'recall' | 'f1';

/** Pooled over answers: precision TP/(TP+FP), recall TP/(TP+FN), F1 2TP/(2TP+FP+FN). */
export function setMeasure(measure: Measure, found: readonly string[], truth: readonly string[]): Share {
  const { hits, ...sizes } = overlap(found, truth);
  if (measure === 'precision') return { numerator: hits, denominator: sizes.found };
  if (measure === 'recall') return { numerator: hits, denominator: sizes.truth };
  return { numerator: 2 * hits, denominator: sizes.found + sizes.truth };
}

type Stage = 'first' | 'end';
type ReadRegions = (reading: TextReading) => readonly string[];
const byChecker: ReadRegions = ({ regions }) => regions;
const byJudge: ReadRegions = ({ judge }) => judge.marked;

/** Only questions on whose answer all regions belong. */
function regionFigure(stage: Stage, measure: Measure, read: ReadRegions): Figure['of'] {
  return ({ answer, evidence }) =>
    LISTING.includes(answer.kind)
      ? setMeasure(measure, read(answer[stage]), evidence.namedRegions)
      : undefined;
}

/** The parts that regions come to: the whole face is all of them. */
export const partsIn = (regions: readonly string[]): readonly string[] =>
  PART_NAMES.filter((part) => isCovered(part, regions));

function maskFigure(measure: Measure): Figure['of'] {
  return ({ answer, facts }) =>
    LISTING.includes(answer.kind) && facts.maskParts !== null
      ? setMeasure(measure, partsIn(answer.end.regions), facts.maskParts)
      : undefined;
}

const sameSet = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((name) => other.includes(name));

/** No claim contradicted, nothing omitted, and nothing that the judge finds wrong. */
export function isClean({ claims, omitted, judge }: TextReading): boolean {
  return claims.contradicted === 0 && omitted.length === 0 && judge.faults.length === 0;
}

const checkerObjects = ({ claims, omitted }: TextReading): boolean =>
  claims.contradicted > 0 || omitted.length > 0;

/** The figures of one stage: round 1, before anything was sent back or replaced, or what the user reads. */
function stageFigures(stage: Stage): Record<string, Figure> {
  const title = (text: string) => `${text}, ${stage === 'first' ? 'round 1' : 'end'}`;
  const high = (text: string, of: Figure['of']): Figure => ({ title: title(text), best: 'high', of });
  const low = (text: string, of: Figure['of']): Figure => ({ title: title(text), best: 'low', of });
  const isUnanswerable = ({ kind }: AnswerRow) => UNANSWERABLE.includes(kind);
  return {
    [`clean_${stage}`]: high('answers without fault', ({ answer }) => yes(isClean(answer[stage]))),
    [`to_the_point_${stage}`]: high('answers the question', ({ answer }) => {
      const { toThePoint } = answer[stage];
      return toThePoint === null ? undefined : yes(toThePoint);
    }),
    [`verdict_${stage}`]: high('verdict agrees', ({ answer }) => agreement(answer[stage].byKind.verdict)),
    [`score_${stage}`]: high('score agrees', ({ answer }) => agreement(answer[stage].byKind.score)),
    [`confidence_${stage}`]: high('confidence agrees', ({ answer }) =>
      agreement(answer[stage].byKind.confidence),
    ),
    [`regions_precision_${stage}`]: high('regions precision', regionFigure(stage, 'precision', byChecker)),
    [`regions_recall_${stage}`]: high('regions recall', regionFigure(stage, 'recall', byChecker)),
    [`regions_f1_${stage}`]: high('regions F1', regionFigure(stage, 'f1', byChecker)),
    [`regions_f1_judge_${stage}`]: high('regions F1, by the judge', regionFigure(stage, 'f1', byJudge)),
    [`regions_exact_${stage}`]: high('region set exact', ({ answer, evidence }) =>
      LISTING.includes(answer.kind) ? yes(sameSet(answer[stage].regions, evidence.namedRegions)) : undefined,
    ),
    [`region_question_${stage}`]: high('yes or no on a region right', ({ answer }) =>
      answer.kind === 'region' ? yes(answer[stage].asked === 'supported') : undefined,
    ),
    [`supported_${stage}`]: high('claims supported', ({ answer }) => {
      const { supported, contradicted } = answer[stage].claims;
      return { numerator: supported, denominator: supported + contradicted };
    }),
    [`contradicted_${stage}`]: low('answers contradicted', ({ answer }) =>
      yes(answer[stage].claims.contradicted > 0),
    ),
    [`omitted_${stage}`]: low('answers that omit a region', ({ answer }) =>
      LISTING.includes(answer.kind) ? yes(answer[stage].omitted.length > 0) : undefined,
    ),
    [`judge_faults_${stage}`]: low('answers that the judge faults', ({ answer }) =>
      yes(answer[stage].judge.faults.length > 0),
    ),
    [`missed_${stage}`]: low('faulted by the judge alone', ({ answer }) =>
      yes(answer[stage].judge.faults.length > 0 && !checkerObjects(answer[stage])),
    ),
    [`refused_${stage}`]: high('unanswerable refused', ({ answer }) =>
      isUnanswerable(answer) ? yes(answer[stage].judge.refused) : undefined,
    ),
    [`refused_wrongly_${stage}`]: low('answerable refused', ({ answer }) =>
      isUnanswerable(answer) || answer.kind === 'own' ? undefined : yes(answer[stage].judge.refused),
    ),
  };
}

/** All figures that are shares of something, in the order of the table. */
export const FIGURES: Readonly<Record<string, Figure>> = {
  ...stageFigures('first'),
  ...stageFigures('end'),
  mask_precision: { title: 'parts against masks, precision, end', best: 'high', of: maskFigure('precision') },
  mask_recall: { title: 'parts against masks, recall, end', best: 'high', of: maskFigure('recall') },
  mask_f1: { title: 'parts against masks, F1, end', best: 'high', of: maskFigure('f1') },
  second_round: {
    title: 'answers sent back',
    best: null,
    of: ({ answer }) => yes(answer.rounds.length > 1),
  },
  replaced: {
    title: 'answers with replaced sentences',
    best: null,
    of: ({ answer }) => yes(answer.replaced.length > 0),
  },
  fell_back: {
    title: 'answers that fell back',
    best: 'low',
    of: ({ answer }) => yes(answer.fallback !== null),
  },
};

/** Numbers of which the median and the 90th percentile are told. */
export interface Measurement {
  title: string;
  digits: number;
  of: (answer: AnswerRow, turn: number) => number | null;
}

/** Tokens a second of an answer of one round, without its first token, whose time is that of the prompt. */
function decodeRate({ rounds, generatedTokens, firstTokenMs, totalMs }: AnswerRow): number | null {
  if (firstTokenMs === null || rounds.length !== 1 || generatedTokens < 2 || totalMs <= firstTokenMs)
    return null;
  return (generatedTokens - 1) / ((totalMs - firstTokenMs) / 1000);
}

export const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  first_token_ms: {
    title: 'first token, first question (ms)',
    digits: 0,
    of: ({ firstTokenMs }, turn) => (turn === 0 ? firstTokenMs : null),
  },
  follow_up_first_token_ms: {
    title: 'first token, later question (ms)',
    digits: 0,
    of: ({ firstTokenMs }, turn) => (turn > 0 ? firstTokenMs : null),
  },
  follow_up_ms: {
    title: 'later question, whole (ms)',
    digits: 0,
    of: ({ totalMs }, turn) => (turn > 0 ? totalMs : null),
  },
  follow_up_tokens: {
    title: 'later question, tokens evaluated in round 1',
    digits: 0,
    of: ({ firstPromptTokens, firstTokenMs }, turn) =>
      turn > 0 && firstTokenMs !== null ? firstPromptTokens : null,
  },
  rounds: { title: 'rounds', digits: 1, of: ({ rounds }) => rounds.length },
  generated: { title: 'tokens generated', digits: 0, of: ({ generatedTokens }) => generatedTokens },
  tokens_per_second: { title: 'tokens a second', digits: 1, of: decodeRate },
};
