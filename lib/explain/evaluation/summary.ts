import {
  bootstrapRatio,
  quantile,
  type BootstrapOptions,
  type Estimate,
} from '../../faithfulness/bootstrap.js';
import type { FaceRow, FaceFacts } from './rows.js';
import {
  FIGURES,
  isClean,
  MEASUREMENTS,
  partsIn,
  setMeasure,
  type AskedAnswer,
  type Share,
} from './figures.js';
import type { Mode } from './modes.js';
import { LISTING, QUESTION_KINDS, type QuestionKind } from './questions.js';

export interface Spread {
  median: number;
  /** 90th percentile. */
  p90: number;
  max: number;
  count: number;
}

/** An answer that judge and checker see differently, for a person to read. */
export interface Disagreement {
  mode: Mode;
  image: string;
  stage: 'first' | 'end';
  question: string;
  text: string;
  /** What the judge finds wrong; empty: it finds nothing. */
  faults: readonly string[];
  /** Claims that the checker calls contradicted, and regions it calls omitted. */
  contradicted: number;
  omitted: readonly string[];
}

export interface KindSummary {
  answers: number;
  /** Shares of answers without fault by checker and judge. */
  clean_first: number;
  clean_end: number;
  /** Share of answers that say what the question is about; null for own questions. */
  to_the_point_end: number | null;
  /** Regions asserted against the detector's list, pooled; null where no region is named or stands out. */
  regions_f1_first: number | null;
  regions_f1_end: number | null;
}

export interface ModeSummary {
  faces: number;
  answers: number;
  /** Answers that still hold a contradicted claim where the user reads them. */
  unmarked: number;
  /** By the names of FIGURES; absent where no answer counts. */
  figures: Record<string, Estimate>;
  /** By the names of MEASUREMENTS; absent where nothing was measured. */
  measurements: Record<string, Spread>;
  kinds: Partial<Record<QuestionKind, KindSummary>>;
}

export interface ExplainSummary {
  images: number;
  /** Images with a face. */
  evaluated: number;
  groups: number | null;
  fake: number;
  /** Faces by the number of regions that stand out. */
  regions: Record<string, number>;
  /** The detector's own list against the regions of the masks: what no explanation can exceed. */
  detector: { precision: Estimate | null; recall: Estimate | null; f1: Estimate | null };
  modes: Partial<Record<Mode, ModeSummary>>;
  disagreements: readonly Disagreement[];
}

export interface SummaryOptions {
  seed: number;
  /** Draws of the bootstrap. */
  draws: number;
}

interface Counted extends Share {
  group: string;
}

function estimate(shares: readonly Counted[], options: BootstrapOptions): Estimate | null {
  if (!shares.some(({ denominator }) => denominator > 0)) return null;
  return bootstrapRatio(
    shares.map(({ numerator }) => numerator),
    shares.map(({ denominator }) => denominator),
    { ...options, groups: shares.map(({ group }) => group) },
  );
}

const groupOf = ({ group, image }: { group: string | null; image: string }): string => group ?? image;

function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  return {
    median: quantile(sorted, 0.5),
    p90: quantile(sorted, 0.9),
    max: sorted.at(-1) ?? NaN,
    count: sorted.length,
  };
}

function measurementsOf(rows: readonly FaceRow[]): Record<string, Spread> {
  const found: Record<string, Spread> = {};
  const dialogues = rows.flatMap((row) => row.dialogues);
  if (dialogues.length > 0) found['open_ms'] = spreadOf(dialogues.map(({ openMs }) => openMs));
  for (const [name, { of }] of Object.entries(MEASUREMENTS)) {
    const values = dialogues.flatMap(({ answers }) =>
      answers.flatMap((answer, turn) => of(answer, turn) ?? []),
    );
    if (values.length > 0) found[name] = spreadOf(values);
  }
  return found;
}

function regionsF1(asked: readonly AskedAnswer[], stage: 'first' | 'end'): number | null {
  const shares = asked.map(({ answer, evidence }) =>
    setMeasure('f1', answer[stage].regions, evidence.namedRegions),
  );
  const [above, below] = [
    shares.reduce((sum, { numerator }) => sum + numerator, 0),
    shares.reduce((sum, { denominator }) => sum + denominator, 0),
  ];
  return below === 0 ? null : above / below;
}

function kindsOf(asked: readonly AskedAnswer[]): ModeSummary['kinds'] {
  const kinds: ModeSummary['kinds'] = {};
  for (const kind of QUESTION_KINDS) {
    const own = asked.filter(({ answer }) => answer.kind === kind);
    if (own.length === 0) continue;
    const share = (holds: (answer: AskedAnswer['answer']) => boolean) =>
      own.filter(({ answer }) => holds(answer)).length / own.length;
    const isListing = LISTING.includes(kind);
    kinds[kind] = {
      answers: own.length,
      clean_first: share(({ first }) => isClean(first)),
      clean_end: share(({ end }) => isClean(end)),
      to_the_point_end: kind === 'own' ? null : share(({ end }) => end.toThePoint === true),
      regions_f1_first: isListing ? regionsF1(own, 'first') : null,
      regions_f1_end: isListing ? regionsF1(own, 'end') : null,
    };
  }
  return kinds;
}

/** Answers of these rows with the facts of their faces. */
function askedIn(rows: readonly FaceRow[], facts: ReadonlyMap<string, FaceFacts>): AskedAnswer[] {
  return rows.flatMap((row) => {
    const known = facts.get(row.image);
    const evidence = known?.evidence ?? null;
    if (known === undefined || evidence === null) return [];
    return row.dialogues.flatMap(({ answers }) =>
      answers.map((answer) => ({ answer, evidence, facts: known })),
    );
  });
}

function summariseMode(
  rows: readonly FaceRow[],
  facts: ReadonlyMap<string, FaceFacts>,
  options: SummaryOptions,
): ModeSummary {
  const asked = askedIn(rows, facts);
  const figures: Record<string, Estimate> = {};
  for (const [name, { of }] of Object.entries(FIGURES)) {
    const shares = asked.flatMap((each) => {
      const share = of(each);
      return share === undefined ? [] : [{ ...share, group: groupOf(each.facts) }];
    });
    const figure = estimate(shares, options);
    if (figure !== null) figures[name] = figure;
  }
  return {
    faces: rows.length,
    answers: asked.length,
    unmarked: asked.filter(({ answer }) => answer.end.claims.contradicted > 0).length,
    figures,
    measurements: measurementsOf(rows),
    kinds: kindsOf(asked),
  };
}

function disagreementsOf(rows: readonly FaceRow[]): Disagreement[] {
  return rows.flatMap(({ mode, image, dialogues }) =>
    dialogues.flatMap(({ answers }) =>
      answers.flatMap((answer) =>
        (['first', 'end'] as const).flatMap((stage): Disagreement[] => {
          const { text, claims, omitted, judge } = answer[stage];
          const objects = claims.contradicted > 0 || omitted.length > 0;
          const isRepeated = stage === 'end' && text === answer.first.text;
          if (isRepeated || objects === judge.faults.length > 0) return [];
          const { contradicted } = claims;
          return [
            {
              mode,
              image,
              stage,
              question: answer.question,
              text,
              faults: judge.faults,
              contradicted,
              omitted,
            },
          ];
        }),
      ),
    ),
  );
}

function againstMasks(facts: readonly FaceFacts[], options: SummaryOptions): ExplainSummary['detector'] {
  const figure = (measure: 'precision' | 'recall' | 'f1') =>
    estimate(
      facts.flatMap((face) =>
        face.evidence === null || face.maskParts === null
          ? []
          : [
              {
                ...setMeasure(measure, partsIn(face.evidence.namedRegions), face.maskParts),
                group: groupOf(face),
              },
            ],
      ),
      options,
    );
  return { precision: figure('precision'), recall: figure('recall'), f1: figure('f1') };
}

/** Figures with 95 % bootstrap intervals; all answers on the faces of one group are drawn together. */
export function summariseExplanations(
  facts: readonly FaceFacts[],
  rows: readonly FaceRow[],
  modes: readonly Mode[],
  options: SummaryOptions,
): ExplainSummary {
  const good = facts.filter(({ evidence }) => evidence !== null);
  const groups = new Set(good.flatMap(({ group }) => group ?? []));
  const byImage = new Map(facts.map((face) => [face.image, face]));
  const regions: Record<string, number> = {};
  for (const { evidence } of good) {
    const count = String(evidence?.namedRegions.length ?? 0);
    regions[count] = (regions[count] ?? 0) + 1;
  }
  const summary: ExplainSummary = {
    images: facts.length,
    evaluated: good.length,
    groups: groups.size === 0 ? null : groups.size,
    fake: good.filter(({ evidence }) => evidence?.verdict === 'fake').length,
    regions,
    detector: againstMasks(good, options),
    modes: {},
    disagreements: disagreementsOf(rows),
  };
  for (const mode of modes) {
    const own = rows.filter((row) => row.mode === mode);
    if (own.length > 0) summary.modes[mode] = summariseMode(own, byImage, options);
  }
  return summary;
}
