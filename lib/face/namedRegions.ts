import type { FaceRegions } from './regions.js';

/** When a region of a map is named: shares from 0 to 1, the field `face.naming` of a detector's manifest. */
export interface NamingRule {
  /** A pixel is lit from this map value on. */
  lit: number;
  /** Fewer lit pixels of the whole face than this share of it: nothing is named. */
  minimum: number;
  /** Coverage (lit share of a region's pixels) from which the whole face is named, alone. */
  whole: number;
  /** The same for the face's center. */
  center: number;
  /** Coverage from which a part may be named. */
  part: number;
  /** Share of all lit pixels that must lie in the named parts; otherwise none is named. */
  explained: number;
}

/** For models whose manifest has no rule. */
export const DEFAULT_NAMING: NamingRule = {
  lit: 0.5,
  minimum: 0.02,
  whole: 0.6,
  center: 0.6,
  part: 0.5,
  explained: 0.3,
};

const WHOLE = 'full face';
const CENTER = 'center face';
const MOST_PARTS = 3;
/** Of the extent; fixed, so that it means the same with every rule. */
const EXTENT_LEVEL = 0.5;

/** Pixels of `indices` with a map value of at least `level`. */
function countLit(map: Float32Array, indices: Iterable<number>, level: number): number {
  let count = 0;
  for (const index of indices) if ((map[index] ?? 0) >= level) count += 1;
  return count;
}

/**
 * Which regions stand out on a localisation map (docs/regions.md). python/kfd_train/naming.py is the same rule, and a
 * test compares them. Maps are (224, 224) row-major, 0 to 1, in canonical crop pixels.
 */
export class RegionNaming {
  constructor(
    private readonly regions: FaceRegions,
    private readonly rule: NamingRule = DEFAULT_NAMING,
  ) {}

  /** Share of the whole face's pixels with a map value of at least 0.5; null for a model without that region. */
  extent(map: Float32Array): number | null {
    const pixels = this.regions.pixels.get(WHOLE);
    if (pixels === undefined || pixels.length === 0) return null;
    return countLit(map, pixels, EXTENT_LEVEL) / pixels.length;
  }

  /** At most three parts, strongest first, or the center or the whole face alone; none where none stands out. */
  names(map: Float32Array, verdict: 'fake' | 'real'): string[] {
    const whole = this.coverage(map, WHOLE);
    if (verdict === 'real' || whole < this.rule.minimum) return [];
    if (whole >= this.rule.whole) return [WHOLE];
    if (this.coverage(map, CENTER) >= this.rule.center) return [CENTER];
    const parts = this.strongestParts(map);
    return this.explains(map, parts) ? parts : [];
  }

  private pixelsOf(name: string): Uint32Array {
    return this.regions.pixels.get(name) ?? new Uint32Array();
  }

  /** Lit share of a region's pixels; 0 for a region that the model does not have. */
  private coverage(map: Float32Array, name: string): number {
    const pixels = this.pixelsOf(name);
    return countLit(map, pixels, this.rule.lit) / Math.max(1, pixels.length);
  }

  private strongestParts(map: Float32Array): string[] {
    return [...this.regions.pixels]
      .filter(([name]) => name !== WHOLE && name !== CENTER)
      .map(([name, pixels]) => ({
        name,
        coverage: this.coverage(map, name),
        mean: pixels.reduce((sum, index) => sum + (map[index] ?? 0), 0) / Math.max(1, pixels.length),
      }))
      .filter(({ coverage }) => coverage >= this.rule.part)
      .sort((a, b) => b.coverage - a.coverage || b.mean - a.mean) // stable: then the manifest's order
      .slice(0, MOST_PARTS)
      .map(({ name }) => name);
  }

  /** Whether the parts hold enough of what is lit; light elsewhere means that no part stands out. */
  private explains(map: Float32Array, parts: readonly string[]): boolean {
    const union = new Set(parts.flatMap((name) => [...this.pixelsOf(name)]));
    const lit = countLit(map, map.keys(), this.rule.lit);
    return countLit(map, union, this.rule.lit) / Math.max(1, lit) >= this.rule.explained;
  }
}
