import type { Estimate } from '../../faithfulness/bootstrap.js';
import { FIGURES, MEASUREMENTS } from './figures.js';
import { QUESTION_KINDS } from './questions.js';
import type { ExplainSummary, ModeSummary, Spread } from './summary.js';

function shareCell(figure: Estimate | undefined): string {
  if (figure === undefined) return '-';
  const { mean, low, high } = figure;
  return `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

function spreadCell(spread: Spread | undefined, digits: number): string {
  return spread === undefined ? '-' : `${spread.median.toFixed(digits)} / ${spread.p90.toFixed(digits)}`;
}

const arrow = (best: 'high' | 'low' | null): string => (best === null ? '' : ` (${best})`);

/** Rows of cells for people: figures down, modes across; shares with 95 % intervals, measurements as median / p90. */
export function explainTable({ modes }: ExplainSummary): string[][] {
  const columns = Object.entries(modes);
  const row = (title: string, cell: (mode: ModeSummary) => string): string[] => [
    title,
    ...columns.map(([, mode]) => cell(mode)),
  ];
  const isMeasured = ([, ...cells]: string[]) => cells.some((cell) => cell !== '-');
  const shares = Object.entries(FIGURES).map(([name, { title, best }]) =>
    row(title + arrow(best), ({ figures }) => shareCell(figures[name])),
  );
  const measurements = Object.entries(MEASUREMENTS).map(([name, { title, digits }]) =>
    row(title, ({ measurements: spreads }) => spreadCell(spreads[name], digits)),
  );
  return [
    ['figure', ...columns.map(([name]) => name)],
    row('faces / answers', ({ faces, answers }) => `${faces} / ${answers}`),
    row('contradicted where the user reads (low)', ({ unmarked }) => String(unmarked)),
    ...shares.filter(isMeasured),
    ...[row('open a dialogue (ms)', ({ measurements: spreads }) => spreadCell(spreads['open_ms'], 0))].filter(
      isMeasured,
    ),
    ...measurements.filter(isMeasured),
  ];
}

/** Kinds of questions down, modes across: answers without fault in round 1 and at the end, and to the point at the end. */
export function kindTable({ modes }: ExplainSummary): string[][] {
  const columns = Object.entries(modes);
  const rows = QUESTION_KINDS.flatMap((kind) => {
    const cells = columns.map(([, { kinds }]) => {
      const found = kinds[kind];
      if (found === undefined) return '-';
      const percent = (share: number | null) => (share === null ? '-' : (100 * share).toFixed(0));
      const { answers, clean_first: first, clean_end: end, to_the_point_end: relevant } = found;
      const f1 = found.regions_f1_first === null ? '' : `, F1 ${found.regions_f1_first.toFixed(2)}`;
      return `${percent(first)} -> ${percent(end)}, ${percent(relevant)} of ${answers}${f1}`;
    });
    return cells.every((cell) => cell === '-') ? [] : [[kind, ...cells]];
  });
  return [['% without fault, to the point, regions in round 1', ...columns.map(([name]) => name)], ...rows];
}

/** One line on how good the detector's own list is, where there are masks. */
export function detectorLine({ detector: { precision, recall, f1 } }: ExplainSummary): string | undefined {
  if (f1 === null) return undefined;
  const cell = (figure: Estimate | null) => shareCell(figure ?? undefined);
  return `the detector's own regions against the masks: precision ${cell(precision)}, recall ${cell(recall)}, F1 ${cell(f1)}`;
}
