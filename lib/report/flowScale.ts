import type { FlowDocument, FlowMaps, GridMap } from '../daam/flowDocument.js';
import { renderLevels } from '../daam/rendering.js';

/**
 * From the numbers of a flow to positions on a colour table. No Node and no DOM here: the viewer page carries the same
 * code, so a picture written by the command and the page show the same colours.
 */

/** `accumulated`: blocks 1 to b together; `block`: block b alone, max(U, 0); `signed`: block b alone, U itself. */
export type FlowView = 'accumulated' | 'block' | 'signed';

/**
 * `common`: one scale for all blocks, in the target's own units, from zero; `own`: each block up to its own largest
 * value; `linear` and `sigmoid`: the two published renderings of the accumulated map (spec/daam.md 1.6 a and b), which
 * give levels 0..255 and no units.
 */
export type FlowScale = 'common' | 'own' | 'linear' | 'sigmoid';

export interface ScaledMap {
  height: number;
  width: number;
  /** Row-major, 0..1: where each cell lies on the colour table. */
  positions: Float64Array;
  /** Values at the ends of the colour table; levels 0 and 255 for the published renderings. */
  low: number;
  high: number;
}

/** Scales that a view can be shown on. */
export function scalesOf(view: FlowView): readonly FlowScale[] {
  return view === 'accumulated' ? ['common', 'own', 'linear', 'sigmoid'] : ['common', 'own'];
}

/** Which maps, and on which scale. */
export interface FlowChoice {
  view: FlowView;
  /** One of `scalesOf(view)`. */
  scale: FlowScale;
  /** One attention head, from 0, of view `block`; null or left out: all heads together. */
  head?: number | null;
}

/** All maps of a view, block by block. */
export function mapsOf(
  flow: FlowMaps,
  { view, head }: Pick<FlowChoice, 'view' | 'head'>,
): readonly GridMap[] {
  if (view === 'accumulated') return flow.accumulated;
  if (view === 'signed') return flow.signed;
  if (head === null || head === undefined || flow.heads === undefined) return flow.block_maps;
  return flow.heads.map((maps) => maps[head] ?? []);
}

/** One number: `map[row][column]`, NaN outside the grid. */
export function cellOf(map: GridMap | undefined, row: number, column: number): number {
  return map?.[row]?.[column] ?? NaN;
}

function extremes(maps: readonly GridMap[]): { low: number; high: number } {
  let low = Infinity;
  let high = -Infinity;
  for (const map of maps) {
    for (const row of map) {
      for (const value of row) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  return { low, high };
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value));

/**
 * The map of one block as positions on the colour table.
 *
 * @param block from 0
 */
export function scaleMap(flow: FlowMaps, choice: FlowChoice, block: number): ScaledMap {
  const { view, scale } = choice;
  const maps = mapsOf(flow, choice);
  const map = maps[block] ?? [];
  const values = map.flat();
  const size = { height: map.length, width: map[0]?.length ?? 0 };
  if (scale === 'linear' || scale === 'sigmoid') {
    const final = (maps.at(-1) ?? []).flat();
    const [levels = []] = renderLevels([Float32Array.from(values), Float32Array.from(final)], scale);
    return { ...size, positions: Float64Array.from(levels, (level) => level / 255), low: 0, high: 255 };
  }
  const range = extremes(scale === 'common' ? maps : [map]);
  const bound = Math.max(Math.abs(range.low), Math.abs(range.high));
  if (view === 'signed') {
    // zero stays in the middle of the diverging table
    const positions = Float64Array.from(values, (value) => (bound > 0 ? (value / bound + 1) / 2 : 0.5));
    return { ...size, positions, low: -bound, high: bound };
  }
  const positions = Float64Array.from(values, (value) => (bound > 0 ? clamp(value / bound) : 0));
  return { ...size, positions, low: 0, high: bound };
}

/** Along one side of the picture: between which two cells each pixel lies, and how far on the way to the second. */
interface Axis {
  first: Int32Array;
  second: Int32Array;
  part: Float64Array;
}

/** @param smooth bilinear between cell centres (clamped at the edge) instead of whole cells */
function axisOf(pixels: number, cells: number, smooth: boolean): Axis {
  const axis = {
    first: new Int32Array(pixels),
    second: new Int32Array(pixels),
    part: new Float64Array(pixels),
  };
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const at = ((pixel + 0.5) / pixels) * cells;
    const centred = smooth ? Math.min(cells - 1, Math.max(0, at - 0.5)) : Math.min(cells - 1, Math.floor(at));
    const first = Math.floor(centred);
    axis.first[pixel] = first;
    axis.second[pixel] = Math.min(cells - 1, first + 1);
    axis.part[pixel] = centred - first;
  }
  return axis;
}

/**
 * Opacity of the colour over the picture, 0..1. With `fade` it grows with the distance from zero, so that the picture
 * stays visible where the map says nothing.
 */
export function opacityAt(position: number, view: FlowView, fade: boolean): number {
  if (!fade) return 1;
  const strength = view === 'signed' ? Math.abs(2 * position - 1) : position;
  return 0.15 + 0.85 * strength * (2 - strength);
}

/** The 256 colours of a table as RGBA in one word each, alpha by `opacityAt`. */
function rgbaTable(table: Uint8Array, view: FlowView, fade: boolean): Uint32Array {
  const bytes = new Uint8Array(4 * 256);
  for (let entry = 0; entry < 256; entry += 1) {
    const alpha = Math.round(255 * opacityAt(entry / 255, view, fade));
    bytes.set([...table.subarray(3 * entry, 3 * entry + 3), alpha], 4 * entry);
  }
  return new Uint32Array(bytes.buffer);
}

/** Bytes of an RGBA picture of a map: colours by table, alpha by `opacityAt`. */
export function paintMap(
  { positions, width, height }: ScaledMap,
  table: Uint8Array,
  size: { width: number; height: number },
  { view, fade, smooth }: { view: FlowView; fade: boolean; smooth: boolean },
): Uint8ClampedArray<ArrayBuffer> {
  const colors = rgbaTable(table, view, fade);
  const [across, down] = [axisOf(size.width, width, smooth), axisOf(size.height, height, smooth)];
  const pixels = new Uint32Array(size.width * size.height);
  for (let y = 0; y < size.height; y += 1) {
    const [top, bottom] = [(down.first[y] ?? 0) * width, (down.second[y] ?? 0) * width];
    const fy = down.part[y] ?? 0;
    for (let x = 0; x < size.width; x += 1) {
      const [left, right, fx] = [across.first[x] ?? 0, across.second[x] ?? 0, across.part[x] ?? 0];
      const upper = (positions[top + left] ?? 0) * (1 - fx) + (positions[top + right] ?? 0) * fx;
      const lower = (positions[bottom + left] ?? 0) * (1 - fx) + (positions[bottom + right] ?? 0) * fx;
      pixels[y * size.width + x] = colors[Math.round(255 * (upper * (1 - fy) + lower * fy))] ?? 0;
    }
  }
  return new Uint8ClampedArray(pixels.buffer);
}

/** Mass reached after each block, as a share of the final map; zeros without mass. */
export function runningShare(flow: FlowMaps): number[] {
  let sum = 0;
  return flow.share.map((share) => (sum += share));
}

/** Class-row coefficients are exact for the last two blocks only, and worse the earlier (spec/daam.md I6). */
export function isApproximate(
  coefficients: FlowDocument['coefficients'],
  block: number,
  blocks: number,
): boolean {
  return coefficients === 'class-row' && block < blocks - 2;
}

/** The block (from 0) that adds the most mass, null without mass. */
export function strongestBlock(flow: FlowMaps): number | null {
  const largest = Math.max(...flow.share);
  return largest > 0 ? flow.share.indexOf(largest) : null;
}

/** The largest cell of a map; null where the map is constant. */
export function peakOf(map: GridMap): { row: number; column: number; value: number } | null {
  const { low, high } = extremes([map]);
  if (!(high > low)) return null;
  const row = map.findIndex((values) => values.includes(high));
  return { row, column: map[row]?.indexOf(high) ?? 0, value: high };
}

/** What is wrong with the shapes of a document's arrays, null where nothing is. */
export function checkFlowDocument(document: FlowDocument): string | null {
  const [height, width] = document.grid;
  for (const flow of document.flows) {
    const heads = flow.heads?.[0]?.map((_, head) => mapsOf(flow, { view: 'block', head })) ?? [];
    const arrays: readonly (readonly [string, readonly GridMap[]])[] = [
      ['block_maps', flow.block_maps],
      ['accumulated', flow.accumulated],
      ['signed', flow.signed],
      ...heads.map((maps, head) => [`heads (head ${head})`, maps] as const),
    ];
    for (const [name, maps] of arrays) {
      const right =
        maps.length === document.blocks &&
        maps.every((map) => map.length === height && map.every((row) => row.length === width));
      if (!right)
        return `${name} of target ${flow.target.name}: expected ${document.blocks} maps of ${height} x ${width}`;
    }
  }
  return document.flows.length === 0 ? 'expected at least one flow, received none' : null;
}
