import { svg } from './dom.js';

/** The frame that the charts over the blocks share: one column a block, horizontal lines, block numbers below. */

const MARGIN = { left: 44, right: 14, top: 14, bottom: 38 };

export interface Plot {
  root: SVGSVGElement;
  /** Middle of a block's column. */
  x: (block: number) => number;
  y: (value: number) => number;
  columnWidth: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface PlotOptions {
  width: number;
  height: number;
  blocks: number;
  /** The block in view, from 0: its column is marked. */
  current: number;
  low: number;
  high: number;
  /** Where a horizontal line with a number goes. */
  lines: readonly { value: number; text: string; strong?: boolean }[];
  /** Text alternative of the whole chart. */
  label: string;
  onSelect: (block: number) => void;
}

function blockNumbers(plot: Plot, { blocks, current, height }: PlotOptions): void {
  const every = Math.max(1, Math.ceil(20 / plot.columnWidth));
  for (let block = 0; block < blocks; block += 1) {
    const isCurrent = block === current;
    // next to the current number there is no room for another one when numbers are left out
    const crowded = every > 1 && Math.abs(block - current) < every && !isCurrent;
    if (!isCurrent && ((block + 1) % every !== 0 || crowded)) continue;
    const attributes = { x: plot.x(block), y: plot.bottom + 15, class: isCurrent ? 'tick current' : 'tick' };
    plot.root.append(svg('text', { ...attributes, 'text-anchor': 'middle' }, String(block + 1)));
  }
  plot.root.append(
    svg(
      'text',
      { x: (plot.left + plot.right) / 2, y: height - 6, class: 'axis', 'text-anchor': 'middle' },
      'block',
    ),
  );
}

/** An empty chart; later children are drawn over the frame. */
export function createPlot(options: PlotOptions): Plot {
  const { width, height, blocks, current, low, high } = options;
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
  const columnWidth = (right - left) / blocks;
  const root = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img' });
  root.setAttribute('aria-label', options.label);
  const plot: Plot = {
    root,
    x: (block) => left + (block + 0.5) * columnWidth,
    y: (value) => bottom - ((value - low) / (high - low || 1)) * (bottom - top),
    columnWidth,
    left,
    right,
    top,
    bottom,
  };
  const column = { y: top, width: columnWidth, height: bottom - top };
  root.append(svg('rect', { x: left + current * columnWidth, ...column, class: 'current-column' }));
  for (const { value, text, strong } of options.lines) {
    const y = plot.y(value);
    root.append(
      svg('line', { x1: left, x2: right, y1: y, y2: y, class: strong ? 'grid strong' : 'grid' }),
      svg('text', { x: left - 7, y: y + 4, class: 'tick', 'text-anchor': 'end' }, text),
    );
  }
  blockNumbers(plot, options);
  root.addEventListener('click', (event) => {
    const across = event.clientX - root.getBoundingClientRect().left - left;
    const block = Math.floor(across / columnWidth);
    if (block >= 0 && block < blocks) options.onSelect(block);
  });
  return plot;
}

/** A line through one value a block. */
export function polyline(plot: Plot, values: readonly number[], className: string): void {
  const points = values.map((value, block) => `${plot.x(block).toFixed(1)},${plot.y(value).toFixed(1)}`);
  plot.root.append(svg('polyline', { points: points.join(' '), class: `line ${className}` }));
}

export interface Extent {
  low: number;
  high: number;
}

/** The sums of the negative and of the positive numbers: how far a stack of signed bars reaches. */
export function stackExtent(values: readonly number[]): Extent {
  const add = (sum: number, value: number) => sum + value;
  return {
    low: values.filter((value) => value < 0).reduce(add, 0),
    high: values.filter((value) => value > 0).reduce(add, 0),
  };
}

/** Round numbers that span low..high, about `count` of them, with zero where it lies between. */
export function niceLines(low: number, high: number, count = 4): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= count) ?? span;
  const lines: number[] = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k += 1) lines.push(k * step);
  return lines;
}

/** Draws again when the width of the place changes or when asked. */
export function keepDrawn(place: HTMLElement, draw: (width: number) => Node | string): () => void {
  let width = 0;
  const redraw = () => {
    if (width > 0) place.replaceChildren(draw(width));
  };
  new ResizeObserver(() => {
    const now = Math.floor(place.clientWidth);
    if (now === width) return;
    width = now;
    redraw();
  }).observe(place);
  return redraw;
}
