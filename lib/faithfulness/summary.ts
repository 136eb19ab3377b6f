import { bootstrapMean, type Estimate } from './bootstrap.js';
import type { ImageRow } from './imageRow.js';
import type { Method } from './methods.js';
import type { Metric } from './metrics.js';

export interface MetricSummary extends Estimate {
  /** Mean difference to the prior on the same images, with its interval; null where there is no prior. */
  over_prior: Estimate | null;
}

export interface BlockSummary {
  mass: number[];
  auroc: number[];
}

export interface Summary {
  images: number;
  /** Images that have figures. */
  evaluated: number;
  /** Groups among them; null without groups. */
  groups: number | null;
  /** Mean share of the view that lies in the mask: what chance gives for mass and pointing. */
  mask_share: Estimate | null;
  methods: Partial<Record<Method, Partial<Record<Metric, MetricSummary>>>>;
  /** Means by block. */
  blocks: Partial<Record<Method, { alone: BlockSummary; accumulated: BlockSummary }>>;
}

export interface SummaryOptions {
  seed: number;
  /** Draws of the bootstrap. */
  draws: number;
}

/** The images that have a value, with it and their group. */
interface Column {
  values: number[];
  groups: string[];
}

function columnOf(rows: readonly ImageRow[], read: (row: ImageRow) => number | null | undefined): Column {
  const column: Column = { values: [], groups: [] };
  for (const row of rows) {
    const value = read(row);
    if (value === null || value === undefined) continue;
    column.values.push(value);
    column.groups.push(row.group ?? row.image);
  }
  return column;
}

function estimate({ values, groups }: Column, options: SummaryOptions): Estimate | null {
  return values.length === 0 ? null : bootstrapMean(values, { ...options, groups });
}

function summariseMethod(
  rows: readonly ImageRow[],
  method: Method,
  metrics: readonly Metric[],
  options: SummaryOptions,
): Partial<Record<Metric, MetricSummary>> {
  const summary: Partial<Record<Metric, MetricSummary>> = {};
  for (const metric of metrics) {
    const valueOf = (row: ImageRow, of: Method) => row.methods[of]?.[metric];
    const own = estimate(
      columnOf(rows, (row) => valueOf(row, method)),
      options,
    );
    if (own === null) continue;
    const differences = columnOf(rows, (row) => {
      const [value, prior] = [valueOf(row, method), valueOf(row, 'prior')];
      return value === undefined || prior === undefined ? undefined : value - prior;
    });
    summary[metric] = { ...own, over_prior: method === 'prior' ? null : estimate(differences, options) };
  }
  return summary;
}

/** Element-wise means of lists of one length. */
function meanLists(lists: readonly (readonly number[])[]): number[] {
  const length = lists[0]?.length ?? 0;
  return Array.from(
    { length },
    (_, b) => lists.reduce((sum, list) => sum + (list[b] ?? NaN), 0) / lists.length,
  );
}

function summariseBlocks(rows: readonly ImageRow[], method: Method): Summary['blocks'][Method] {
  const found = rows.flatMap(({ blocks }) => blocks[method] ?? []);
  if (found.length === 0) return undefined;
  const part = (of: 'alone' | 'accumulated'): BlockSummary => ({
    mass: meanLists(found.map((figures) => figures[of].mass)),
    auroc: meanLists(found.map((figures) => figures[of].auroc)),
  });
  return { alone: part('alone'), accumulated: part('accumulated') };
}

/** Means over images with 95 % bootstrap intervals; images of one group are drawn together. */
export function summarise(
  rows: readonly ImageRow[],
  methods: readonly Method[],
  metrics: readonly Metric[],
  options: SummaryOptions,
): Summary {
  const good = rows.filter(({ status }) => status === 'ok');
  const groups = new Set(good.flatMap(({ group }) => group ?? []));
  const summary: Summary = {
    images: rows.length,
    evaluated: good.length,
    groups: groups.size === 0 ? null : groups.size,
    mask_share: estimate(
      columnOf(good, ({ mask_share: share }) => share),
      options,
    ),
    methods: {},
    blocks: {},
  };
  for (const method of methods) {
    const figures = summariseMethod(good, method, metrics, options);
    if (Object.keys(figures).length > 0) summary.methods[method] = figures;
    const blocks = summariseBlocks(good, method);
    if (blocks !== undefined) summary.blocks[method] = blocks;
  }
  return summary;
}
