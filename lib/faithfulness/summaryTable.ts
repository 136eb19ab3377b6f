import type { Estimate } from './bootstrap.js';
import { METHODS } from './methods.js';
import { METRICS, type Metric } from './metrics.js';
import type { Summary } from './summary.js';

function cell({ mean, low, high }: Estimate): string {
  return `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

/** Rows of cells for people: methods down, metrics across, means with 95 % intervals; - where nothing is defined. */
export function summaryRows({ methods }: Summary, metrics: readonly Metric[]): string[][] {
  const heading = metrics.map((metric) => {
    const { title, higherIsBetter } = METRICS[metric];
    return `${title} ${higherIsBetter ? '(high)' : '(low)'}`;
  });
  const rows = METHODS.flatMap((method) => {
    const figures = methods[method];
    if (figures === undefined) return [];
    const cells = metrics.map((metric) => {
      const figure = figures[metric];
      return figure === undefined ? '-' : cell(figure);
    });
    return [[method, ...cells]];
  });
  return [['method', ...heading], ...rows];
}

/** One line that says what a map without any knowledge would get. */
export function chanceLine({ mask_share: share, methods }: Summary): string {
  const parts: string[] = [];
  if (share !== null) {
    const area = cell(share);
    parts.push(`mass inside and pointing ${area} (the masks' share of the view), pixel AUROC 0.500`);
  }
  if (methods.random !== undefined) parts.push('for every metric the row random');
  if (methods.prior !== undefined) parts.push('and the row prior for knowing only where the other masks lie');
  return `chance: ${parts.length === 0 ? 'unknown without masks and without the method random' : parts.join('; ')}`;
}
