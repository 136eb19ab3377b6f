/**
 * The two renderings that the official code has had (spec/daam.md 1.6), on the grid: 8-bit levels a block, from the
 * accumulated maps. Levels are truncated as there, and clipped where there they wrap around. A constant map gives zeros.
 */

export type RenderStyle = 'linear' | 'sigmoid';

/** Keeps the official code's quotient finite. */
const EPSILON = 1e-10;
const STEEPNESS = 5;

function range(map: Float32Array): { low: number; high: number } {
  let [low, high] = [Infinity, -Infinity];
  for (const value of map) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high };
}

/** A typed array of bytes clips by itself but rounds; the cast to uint8 truncates. */
const level = (value: number): number => Math.min(255, Math.max(0, Math.trunc(value)));

/** (a) "global max-min": early blocks stay dim, the last one spans 0 to 255. */
function renderLinear(map: Float32Array, final: { low: number; high: number }): Uint8Array {
  const { low, high } = range(map);
  if (high === low || final.high === final.low) return new Uint8Array(map.length);
  const ratio = (high - low) / (final.high - final.low);
  return Uint8Array.from(map, (value) =>
    level(255 * ratio * Math.max((value - final.low) / (high - final.low + EPSILON), 0)),
  );
}

/** (b) sigmoid: every block that is not constant spans 0 to 255. */
function renderSigmoid(map: Float32Array, final: { high: number }): Uint8Array {
  if (final.high === 0) return new Uint8Array(map.length);
  const curved = Float64Array.from(
    map,
    (value) => 1 / (1 + Math.exp((-STEEPNESS * value) / final.high)) - 0.5,
  );
  const [low, high] = [Math.min(...curved), Math.max(...curved)];
  if (high === low) return new Uint8Array(map.length);
  return Uint8Array.from(curved, (value) => level((255 * (value - low)) / (high - low)));
}

/**
 * @param accumulated [L] maps of h*w values of at least 0, the last one final
 * @returns [L] maps of h*w levels
 */
export function renderLevels(accumulated: readonly Float32Array[], style: RenderStyle): Uint8Array[] {
  const last = accumulated.at(-1);
  if (last === undefined) return [];
  const final = range(last);
  return accumulated.map((map) =>
    style === 'linear' ? renderLinear(map, final) : renderSigmoid(map, final),
  );
}
