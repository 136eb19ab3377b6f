import { CROP_SIZE } from './alignment.js';
import type { Point } from './face.js';

/** Polygons in canonical crop pixels, by the region names of LVLM-DFD ("left" is the person's left). */
export type RegionPolygons = Readonly<Record<string, readonly Point[]>>;

export interface RegionStatistics {
  name: string;
  /** Mean of the localisation map inside the region, 0 to 1. */
  score: number;
  /** The region's part of the map's total, 0 to 1; regions overlap, so the parts do not add up to 1. */
  share: number;
}

/** Where the outline crosses the horizontal line at y, from left to right. */
function crossings(polygon: readonly Point[], y: number): number[] {
  const found: number[] = [];
  polygon.forEach(([x1, y1], index) => {
    const [x2, y2] = polygon[(index + 1) % polygon.length] ?? [x1, y1];
    if (y1 > y !== y2 > y) found.push(x1 + ((y - y1) / (y2 - y1)) * (x2 - x1));
  });
  return found.sort((a, b) => a - b);
}

/** Indices (row * size + column) of the pixels whose centre lies inside the polygon (even-odd rule). */
export function rasterizePolygon(polygon: readonly Point[], size: number = CROP_SIZE): Uint32Array {
  const indices: number[] = [];
  for (let row = 0; row < size; row += 1) {
    const edges = crossings(polygon, row + 0.5);
    for (let pair = 0; pair + 1 < edges.length; pair += 2) {
      const first = Math.max(0, Math.ceil((edges[pair] ?? 0) - 0.5));
      const end = Math.min(size, Math.ceil((edges[pair + 1] ?? 0) - 0.5));
      for (let column = first; column < end; column += 1) indices.push(row * size + column);
    }
  }
  return Uint32Array.from(indices);
}

/** The named regions of a model, rasterised once. */
export class FaceRegions {
  /** Pixel indices (row * 224 + column) by name, in the order of the polygons. */
  readonly pixels: ReadonlyMap<string, Uint32Array>;

  constructor(polygons: RegionPolygons) {
    this.pixels = new Map(
      Object.entries(polygons).map(([name, polygon]) => [name, rasterizePolygon(polygon)]),
    );
  }

  /**
   * Mean and share of a map in each region, highest mean first.
   *
   * @param map (224, 224) row-major, 0 to 1, in canonical crop pixels
   */
  statistics(map: Float32Array): RegionStatistics[] {
    const total = map.reduce((sum, value) => sum + value, 0);
    const rows = [...this.pixels].map(([name, indices]) => {
      const sum = indices.reduce((partial, index) => partial + (map[index] ?? 0), 0);
      return {
        name,
        score: indices.length === 0 ? 0 : sum / indices.length,
        share: total > 0 ? sum / total : 0,
      };
    });
    return rows.sort((a, b) => b.score - a.score);
  }
}
