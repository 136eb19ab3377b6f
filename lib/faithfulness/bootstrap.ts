import { KfdError } from '../errors.js';
import { Random } from './random.js';

/** Mean of a figure over images, with its interval. */
export interface Estimate {
  mean: number;
  /** Bounds of the interval. */
  low: number;
  high: number;
  /** Images. */
  count: number;
}

export interface BootstrapOptions {
  /** Which images belong together (the same person, the same video); default: each stands alone. */
  groups?: readonly string[] | undefined;
  /** Default 0. */
  seed?: number | undefined;
  /** Default 2000. */
  draws?: number | undefined;
  /** Default 0.95. */
  level?: number | undefined;
}

/** Linear interpolation between order statistics (numpy's default). */
function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? NaN;
  const above = sorted[Math.ceil(position)] ?? NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** Sum and count of each group, in the order of first appearance. */
function sumGroups(
  values: readonly number[],
  groups: readonly string[] | undefined,
): { sum: number; count: number }[] {
  if (groups === undefined) return values.map((sum) => ({ sum, count: 1 }));
  const totals = new Map<string, { sum: number; count: number }>();
  values.forEach((value, i) => {
    const name = groups[i] ?? '';
    const { sum, count } = totals.get(name) ?? { sum: 0, count: 0 };
    totals.set(name, { sum: sum + value, count: count + 1 });
  });
  return [...totals.values()];
}

/**
 * Percentile bootstrap of a mean (Efron 1979). With groups, whole groups are drawn with replacement and all their images
 * count: pictures of one person are no independent witnesses. One group alone has no spread: low = high = mean.
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT for no values, values that are no numbers, or groups of another length
 */
export function bootstrapMean(values: readonly number[], options: BootstrapOptions = {}): Estimate {
  const { groups, seed = 0, draws = 2000, level = 0.95 } = options;
  if (
    values.length === 0 ||
    !values.every(Number.isFinite) ||
    (groups?.length ?? values.length) !== values.length
  ) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected at least one finite value and as many groups but received ${values.length} values` +
        (groups === undefined ? '.' : ` and ${groups.length} groups.`),
    );
  }
  const members = sumGroups(values, groups);
  const random = new Random(seed, 'bootstrap');
  const means = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw += 1) {
    let [sum, count] = [0, 0];
    for (let i = 0; i < members.length; i += 1) {
      const member = members[random.integer(members.length)];
      sum += member?.sum ?? 0;
      count += member?.count ?? 0;
    }
    means[draw] = sum / count;
  }
  means.sort();
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: quantile(means, (1 - level) / 2),
    high: quantile(means, (1 + level) / 2),
    count: values.length,
  };
}
