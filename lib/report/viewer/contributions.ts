import type { Completeness } from '../../daam/flowDocument.js';
import { BLOCK_PARTS, formatNumber, formatSigned } from '../flowWords.js';
import { byId, numberTable, svg } from './dom.js';
import { createPlot, keepDrawn, niceLines, stackExtent } from './plot.js';
import type { Store } from './store.js';

/** What each block added to the target's value, split as in the sum: attention to patches, to prefix tokens ... */

const CONTRIBUTION_HEIGHT = 220;

function contributionChart(store: Store, { blocks }: Completeness, width: number): SVGSVGElement {
  const extents = blocks.map((block) => stackExtent(BLOCK_PARTS.map(({ key }) => block[key])));
  const low = Math.min(0, ...extents.map((extent) => extent.low));
  const high = Math.max(0, ...extents.map((extent) => extent.high));
  const plot = createPlot({
    width,
    height: CONTRIBUTION_HEIGHT,
    blocks: blocks.length,
    current: store.state.block,
    low,
    high: high > low ? high : low + 1,
    lines: niceLines(low, high > low ? high : low + 1).map((value) => ({
      value,
      text: formatNumber(value),
      strong: value === 0,
    })),
    label: `What each block added, from ${formatSigned(low)} to ${formatSigned(high)}; numbers in the table below`,
    onSelect: (block) => store.update({ block, playing: false }),
  });
  const barWidth = Math.max(2, plot.columnWidth * 0.62);
  blocks.forEach((block, index) => {
    const ends = { down: 0, up: 0 };
    for (const { key } of BLOCK_PARTS) {
      const side = block[key] < 0 ? 'down' : 'up';
      const from = ends[side];
      ends[side] += block[key];
      const top = plot.y(Math.max(from, ends[side]));
      const height = Math.abs(plot.y(from) - plot.y(ends[side]));
      const attributes = { x: plot.x(index) - barWidth / 2, y: top, width: barWidth, height };
      plot.root.append(svg('rect', { ...attributes, class: `part part-${key}` }));
    }
  });
  return plot.root;
}

function contributionTable({ blocks }: Completeness): HTMLTableElement {
  const rows = blocks.map((block, index) => [
    String(index + 1),
    ...BLOCK_PARTS.map(({ key }) => formatSigned(block[key])),
  ]);
  return numberTable('What each block added', ['Block', ...BLOCK_PARTS.map(({ name }) => name)], rows);
}

export function mountContributions(store: Store): void {
  const section = byId('contributions-section', HTMLElement);
  const table = byId('contributions-table', HTMLElement);
  const redraw = keepDrawn(byId('contributions', HTMLElement), (width) => {
    const { completeness } = store.flow;
    return completeness === null ? '' : contributionChart(store, completeness, width);
  });
  store.subscribe((_, changed) => {
    if (changed('flow')) {
      const { completeness } = store.flow;
      section.hidden = completeness === null;
      table.replaceChildren(completeness === null ? '' : contributionTable(completeness));
    }
    if (changed('flow', 'block')) redraw();
  });
}
