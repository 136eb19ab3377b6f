/** Arithmetic on maps: grids of h*w numbers, row-major, one a block (spec/daam.md 1.4, 1.5, 6). */

/** max(U, 0) */
export function positivePart(map: Float32Array): Float32Array {
  return map.map((value) => Math.max(value, 0));
}

/** Running sums from the first block on; summed in float64, so that rounding never makes them fall. */
export function accumulate(maps: readonly Float32Array[]): Float32Array[] {
  const sums = new Float64Array(maps[0]?.length ?? 0);
  return maps.map((map) => {
    map.forEach((value, cell) => (sums[cell] = (sums[cell] ?? 0) + value));
    return Float32Array.from(sums);
  });
}

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let index = 0; index < values.length; index += 1) total += values[index] ?? 0;
  return total;
}

/** The part of the whole mass that each map holds; zeros where there is none. */
export function massShares(maps: readonly Float32Array[]): number[] {
  const masses = maps.map(sum);
  const whole = sum(masses);
  return masses.map((mass) => (whole > 0 ? mass / whole : 0));
}

/** The first block (from 0) by which `part` of the mass has come; null where there is no mass. */
export function milestone(shares: readonly number[], part: number): number | null {
  let reached = 0;
  for (const [block, share] of shares.entries()) {
    reached += share;
    if (reached >= part - 1e-12) return block; // shares add up to 1 but for rounding
  }
  return null;
}

function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** Intersection over union of the cells above each map's own mean; 1 where neither has any (two constant maps). */
export function meanThresholdIou(a: Float32Array, b: Float32Array): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, either] = [0, 0];
  a.forEach((value, cell) => {
    const [inA, inB] = [value > meanA, (b[cell] ?? 0) > meanB];
    if (inA && inB) both += 1;
    if (inA || inB) either += 1;
  });
  return either === 0 ? 1 : both / either;
}

/** Ranks from 1; equal values share the mean of their ranks. */
export function ranks(values: Float32Array): Float64Array {
  const order = Array.from(values, (_, index) => index).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const result = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && values[order[end] ?? 0] === values[order[start] ?? 0]) end += 1;
    for (let position = start; position < end; position += 1)
      result[order[position] ?? 0] = (start + 1 + end) / 2;
    start = end;
  }
  return result;
}

/** Spearman's rank correlation, Pearson's of the ranks; 0 where a map is constant. */
export function spearman(a: Float32Array, b: Float32Array): number {
  const [ranksA, ranksB] = [ranks(a), ranks(b)];
  const middle = (a.length + 1) / 2; // the mean of all ranks, ties or not
  let [covariance, varianceA, varianceB] = [0, 0, 0];
  ranksA.forEach((rank, cell) => {
    const [da, db] = [rank - middle, (ranksB[cell] ?? 0) - middle];
    covariance += da * db;
    varianceA += da * da;
    varianceB += db * db;
  });
  const scale = Math.sqrt(varianceA * varianceB);
  return scale === 0 ? 0 : Math.min(1, Math.max(-1, covariance / scale));
}
