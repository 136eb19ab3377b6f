import { KfdError } from '../errors.js';

/** What `--metrics` takes: each group is computed as a whole. */
export const METRIC_GROUPS = [
  'localisation',
  'deletion',
  'insertion',
  'positive',
  'negative',
  'drop',
  'road',
] as const;
export type MetricGroup = (typeof METRIC_GROUPS)[number];

export interface MetricDescription {
  group: MetricGroup;
  /** True where more is better. */
  higherIsBetter: boolean;
  /** Heading of its column. */
  title: string;
}

/** Every figure an image gets, in the order of the table. Definitions and sources: docs/daam-eval.md. */
export const METRICS = {
  mass: { group: 'localisation', higherIsBetter: true, title: 'mass inside' },
  auroc: { group: 'localisation', higherIsBetter: true, title: 'pixel AUROC' },
  iou: { group: 'localisation', higherIsBetter: true, title: 'IoU at mean' },
  pointing: { group: 'localisation', higherIsBetter: true, title: 'pointing' },
  deletion: { group: 'deletion', higherIsBetter: false, title: 'deletion' },
  insertion: { group: 'insertion', higherIsBetter: true, title: 'insertion' },
  positive: { group: 'positive', higherIsBetter: false, title: 'positive' },
  negative: { group: 'negative', higherIsBetter: true, title: 'negative' },
  average_drop: { group: 'drop', higherIsBetter: false, title: 'average drop' },
  increase: { group: 'drop', higherIsBetter: true, title: 'increase' },
  road_morf: { group: 'road', higherIsBetter: false, title: 'ROAD MoRF' },
  road_lerf: { group: 'road', higherIsBetter: true, title: 'ROAD LeRF' },
  road: { group: 'road', higherIsBetter: true, title: 'ROAD' },
} as const satisfies Record<string, MetricDescription>;
export type Metric = keyof typeof METRICS;
export type MetricValues = Partial<Record<Metric, number>>;

export const DEFAULT_METRIC_GROUPS: readonly MetricGroup[] = [
  'localisation',
  'deletion',
  'insertion',
  'drop',
];

export function metricsOf(groups: readonly MetricGroup[]): Metric[] {
  return (Object.keys(METRICS) as Metric[]).filter((metric) => groups.includes(METRICS[metric].group));
}

/**
 * Checks names that came as text; `all` stands for every name.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT
 */
export function chooseNames<Name extends string>(
  what: string,
  given: readonly string[],
  known: readonly Name[],
): Name[] {
  if (given.length === 1 && given[0] === 'all') return [...known];
  const unknown = given.find((name) => !(known as readonly string[]).includes(name));
  if (given.length > 0 && unknown === undefined) return known.filter((name) => given.includes(name));
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected ${what} out of ${known.join(', ')}, or all, but received ${unknown ?? 'none'}.`,
  );
}
