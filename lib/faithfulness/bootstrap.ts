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
export function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? NaN;
  const above = sorted[Math.ceil(position)] ?? NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** Sums of numerators and denominators of each group, in the order of first appearance. */
interface GroupSums {
  numerator: number;
  denominator: number;
}

function sumGroups(
  numerators: readonly number[],
  denominators: readonly number[],
  groups: readonly string[] | undefined,
): GroupSums[] {
  const totals = new Map<string | number, GroupSums>();
  numerators.forEach((value, i) => {
    const name = groups === undefined ? i : (groups[i] ?? '');
    const { numerator, denominator } = totals.get(name) ?? { numerator: 0, denominator: 0 };
    totals.set(name, { numerator: numerator + value, denominator: denominator + (denominators[i] ?? 0) });
  });
  return [...totals.values()];
}

function checkValues(values: readonly number[], groups: readonly string[] | undefined): void {
  const fits = groups === undefined || groups.length === values.length;
  if (values.length > 0 && values.every(Number.isFinite) && fits) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected at least one finite value and as many groups but received ${values.length} values` +
      (groups === undefined ? '.' : ` and ${groups.length} groups.`),
  );
}

/**
 * Percentile bootstrap of a ratio of sums (Efron 1979), such as precision over pooled answers. With groups, whole groups
 * are drawn with replacement and all that is theirs counts: pictures of one person are no independent witnesses. One
 * group alone has no spread: low = high = mean. Draws whose denominators sum up to 0 are left out.
 * @param denominators not negative, at least one above 0
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT for no values, values that are no numbers, or lists of another length
 */
export function bootstrapRatio(
  numerators: readonly number[],
  denominators: readonly number[],
  options: BootstrapOptions = {},
): Estimate {
  const { groups, seed = 0, draws = 2000, level = 0.95 } = options;
  checkValues(numerators, groups);
  if (denominators.length !== numerators.length || !denominators.some((value) => value > 0)) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected ${numerators.length} denominators, one of them above 0, but received ${denominators.join(', ')}.`,
    );
  }
  const members = sumGroups(numerators, denominators, groups);
  const random = new Random(seed, 'bootstrap');
  const ratios = new Float64Array(draws);
  let count = 0;
  for (let draw = 0; draw < draws; draw += 1) {
    let [above, below] = [0, 0];
    for (let i = 0; i < members.length; i += 1) {
      const member = members[random.integer(members.length)];
      above += member?.numerator ?? 0;
      below += member?.denominator ?? 0;
    }
    if (below <= 0) continue;
    ratios[count] = above / below;
    count += 1;
  }
  const sorted = ratios.subarray(0, count).sort();
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    mean: sum(numerators) / sum(denominators),
    low: quantile(sorted, (1 - level) / 2),
    high: quantile(sorted, (1 + level) / 2),
    count: numerators.length,
  };
}

/**
 * The same of a mean: every value counts once.
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT for no values, values that are no numbers, or groups of another length
 */
export function bootstrapMean(values: readonly number[], options: BootstrapOptions = {}): Estimate {
  checkValues(values, options.groups);
  return bootstrapRatio(
    values,
    values.map(() => 1),
    options,
  );
}
