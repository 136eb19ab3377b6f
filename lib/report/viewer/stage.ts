import { flowColorTable } from '../flowColors.js';
import { cellOf, mapsOf, paintMap, scaleMap } from '../flowScale.js';
import { describeFlowMap, formatNumber, formatPercent, formatSigned } from '../flowWords.js';
import { byId, context2d } from './dom.js';
import type { Cell, Store } from './store.js';

/** The picture with the map over it, and the cell cursor with its numbers. */

/** Between a cell and its tip, in CSS pixels. */
const GAP = 8;
/** The overlay has about this many pixels on its longer side, whole multiples of the network's. */
const STAGE_SIDE = 700;

/** Pixels of the overlay: the picture's size times a whole number. */
export function stageSize(picture: { width: number; height: number }): { width: number; height: number } {
  const factor = Math.max(1, Math.floor(STAGE_SIDE / Math.max(picture.width, picture.height)));
  return { width: picture.width * factor, height: picture.height * factor };
}

/** Draws the current map, opaque or faded as the state says; the overall opacity is not in these pixels. */
export function paintCurrent(
  store: Store,
  block: number,
  size: { width: number; height: number },
): ImageData {
  const { view, fade, smooth } = store.state;
  const scaled = scaleMap(store.flow, store.state, block);
  const pixels = paintMap(scaled, flowColorTable(store.colors), size, { view, fade, smooth });
  return new ImageData(pixels, size.width, size.height);
}

function drawOverlay(canvas: HTMLCanvasElement, store: Store): void {
  const { block, view, head, opacity } = store.state;
  context2d(canvas).putImageData(paintCurrent(store, block, canvas), 0, 0);
  canvas.style.opacity = String(opacity);
  const map = mapsOf(store.flow, store.state)[block] ?? [];
  const words = describeFlowMap(map, view, block, store.document.blocks);
  canvas.setAttribute('aria-label', head === null ? words : `Head ${head + 1}. ${words}`);
}

/** What one cell holds: its place; then up to this block, this block alone, signed; and the level that is drawn. */
export function cellNumbers(store: Store, { row, column }: Cell): string[] {
  const { flow } = store;
  const { block, scale, head } = store.state;
  const accumulated = cellOf(flow.accumulated[block], row, column);
  const mass = (flow.accumulated[block] ?? []).flat().reduce((sum, value) => sum + value, 0);
  const share = mass > 0 ? ` (${formatPercent(accumulated / mass)} of that map)` : '';
  const lines = [
    `Row ${row + 1}, column ${column + 1}`,
    `Blocks 1 to ${block + 1}: ${formatNumber(accumulated)}${share}`,
    `Block ${block + 1}: ${formatNumber(cellOf(flow.block_maps[block], row, column))}`,
    `Signed: ${formatSigned(cellOf(flow.signed[block], row, column))}`,
  ];
  if (head !== null) {
    const value = cellOf(mapsOf(flow, store.state)[block], row, column);
    lines.push(`Head ${head + 1}: ${formatNumber(value)}`);
  }
  if (scale === 'linear' || scale === 'sigmoid') {
    const { positions, width } = scaleMap(flow, store.state, block);
    lines.push(`Level: ${Math.round(255 * (positions[row * width + column] ?? 0))} of 255`);
  }
  return lines;
}

function showCell(store: Store, cursor: HTMLElement, tip: HTMLElement, line: HTMLElement): void {
  const { cell } = store.state;
  const [height, width] = store.document.grid;
  cursor.hidden = tip.hidden = cell === null;
  if (cell === null) {
    line.textContent = 'Point at the map, or focus it and use the arrow keys, to read a cell.';
    return;
  }
  const numbers = cellNumbers(store, cell);
  line.textContent = numbers.join(' · ');
  tip.replaceChildren(
    ...numbers.flatMap((text, index) => (index === 0 ? [text] : [document.createElement('br'), text])),
  );
  cursor.style.left = `${(100 * cell.column) / width}%`;
  cursor.style.top = `${(100 * cell.row) / height}%`;
  cursor.style.width = `${100 / width}%`;
  cursor.style.height = `${100 / height}%`;
  placeTip(tip, cell, store.document.grid);
}

/** Beside the cell, on the side with more room, and inside the picture where it fits. */
function placeTip(tip: HTMLElement, { row, column }: Cell, [height, width]: readonly [number, number]): void {
  const stage = tip.parentElement;
  if (stage === null) return;
  const [across, down] = [stage.clientWidth / width, stage.clientHeight / height];
  const wantedLeft =
    column < width / 2 ? (column + 1) * across + GAP : column * across - tip.offsetWidth - GAP;
  const wantedTop = row < height / 2 ? (row + 1) * down + GAP : row * down - tip.offsetHeight - GAP;
  const within = (value: number, size: number, limit: number) => Math.max(0, Math.min(value, limit - size));
  tip.style.left = `${within(wantedLeft, tip.offsetWidth, stage.clientWidth)}px`;
  tip.style.top = `${within(wantedTop, tip.offsetHeight, stage.clientHeight)}px`;
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

/** Pointer and keys move the cell; Escape puts it away. */
function listenForCells(store: Store, stage: HTMLElement): void {
  const [height, width] = store.document.grid;
  const within = (value: number, limit: number) => Math.min(limit - 1, Math.max(0, value));
  const pointed = (event: PointerEvent) => {
    const box = stage.getBoundingClientRect();
    const column = within(Math.floor(((event.clientX - box.left) / box.width) * width), width);
    const row = within(Math.floor(((event.clientY - box.top) / box.height) * height), height);
    store.update({ cell: { row, column } });
  };
  stage.addEventListener('pointermove', pointed);
  stage.addEventListener('pointerdown', pointed);
  stage.addEventListener('pointerleave', (event) => {
    if (event.pointerType === 'mouse') store.update({ cell: null });
  });
  stage.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = STEPS[event.key];
    if (event.key === 'Escape') store.update({ cell: null });
    if (step === undefined) return;
    event.preventDefault();
    const { cell } = store.state;
    if (cell === null) {
      store.update({ cell: { row: Math.floor(height / 2), column: Math.floor(width / 2) } });
      return;
    }
    store.update({
      cell: { row: within(cell.row + step[0], height), column: within(cell.column + step[1], width) },
    });
  });
}

export function mountStage(store: Store): void {
  const picture = byId('picture', HTMLImageElement);
  const canvas = byId('overlay', HTMLCanvasElement);
  const stage = byId('stage', HTMLElement);
  const [cursor, tip, line] = [
    byId('cursor', HTMLElement),
    byId('tip', HTMLElement),
    byId('cell', HTMLElement),
  ];
  const size = stageSize({ width: picture.naturalWidth, height: picture.naturalHeight });
  canvas.width = size.width;
  canvas.height = size.height;
  stage.style.aspectRatio = `${size.width} / ${size.height}`;
  // no higher than the window, so that picture and slider are seen together
  stage.style.maxWidth = `calc(max(78vh, 22rem) * ${size.width / size.height})`;
  listenForCells(store, stage);
  store.subscribe((_, changed) => {
    if (changed('flow', 'block', 'view', 'scale', 'head', 'colors', 'opacity', 'fade', 'smooth'))
      drawOverlay(canvas, store);
    if (changed('cell', 'flow', 'block', 'view', 'scale', 'head')) showCell(store, cursor, tip, line);
  });
}
