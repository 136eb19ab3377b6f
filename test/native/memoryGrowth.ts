/** How much memory rounds of the same work leave behind; for child processes that run with --expose-gc. */

/** Bytes a round. */
export interface Growth {
  rounds: number;
  rss: number;
  arrayBuffers: number;
  external: number;
}

/** After the garbage collector had its turns. */
export async function settledMemory(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 3; i++) {
    gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage();
}

/**
 * The median of the slopes between all pairs of eleven samples (Theil-Sen): a leak raises every one of them, while a
 * single step of the allocator, some MiB at any moment, does not.
 */
function slope(samples: readonly number[], roundsBetween: number): number {
  const slopes = samples
    .flatMap((later, j) =>
      samples.slice(0, j).map((earlier, i) => (later - earlier) / ((j - i) * roundsBetween)),
    )
    .sort((x, y) => x - y);
  return slopes[slopes.length >> 1] ?? NaN;
}

/** @param rounds measured ones, a multiple of ten, after `warmUp` others */
export async function growth(
  round: (index: number) => Promise<void>,
  warmUp: number,
  rounds: number,
): Promise<Growth> {
  for (let i = 0; i < warmUp; i++) await round(i);
  const samples = [await settledMemory()];
  const roundsBetween = rounds / 10;
  for (let i = 1; i <= rounds; i++) {
    await round(i);
    if (i % roundsBetween === 0) samples.push(await settledMemory());
  }
  // What V8 counts is exact, so first against last is enough; resident memory moves in steps.
  const counted = (key: 'arrayBuffers' | 'external'): number =>
    ((samples.at(-1)?.[key] ?? NaN) - (samples[0]?.[key] ?? NaN)) / rounds;
  const rss = slope(
    samples.map((sample) => sample.rss),
    roundsBetween,
  );
  return { rounds, rss, arrayBuffers: counted('arrayBuffers'), external: counted('external') };
}
