import type { Completeness } from '../../daam/flowDocument.js';
import { COMPLETENESS_PARTS, completenessSentence, formatNumber, formatSigned } from '../flowWords.js';
import { byId, element, svg } from './dom.js';
import { keepDrawn, stackExtent, type Extent } from './plot.js';
import type { Store } from './store.js';

/** The proof beside the map: all parts that add up to the target's value, as bars with numbers. */

const STACK_HEIGHT = 64;

/** Positive parts to the right of zero, negative ones to the left, and a mark at their sum. */
function stackChart(split: Completeness, width: number): SVGSVGElement {
  const values = COMPLETENESS_PARTS.map(({ key }) => split[key]);
  const extent = stackExtent(values);
  const span = extent.high - extent.low || 1;
  const margin = 8;
  const x = (value: number) => margin + ((value - extent.low) / span) * (width - 2 * margin);
  const root = svg('svg', {
    width,
    height: STACK_HEIGHT,
    viewBox: `0 0 ${width} ${STACK_HEIGHT}`,
    role: 'img',
  });
  root.setAttribute(
    'aria-label',
    `Parts stacked from zero: ${formatSigned(extent.high)} for and ${formatSigned(extent.low)} against; ` +
      `their sum is ${formatNumber(split.sum)}`,
  );
  const ends = { left: 0, right: 0 };
  COMPLETENESS_PARTS.forEach(({ key }) => {
    const value = split[key];
    const side = value < 0 ? 'left' : 'right';
    const from = ends[side];
    ends[side] += value;
    const start = x(Math.min(from, ends[side]));
    const attributes = { x: start, y: 20, width: Math.abs(x(ends[side]) - x(from)), height: 24 };
    root.append(svg('rect', { ...attributes, class: `part part-${key}` }));
  });
  const zero = x(0);
  root.append(svg('line', { x1: zero, x2: zero, y1: 14, y2: 50, class: 'zero' }));
  root.append(svg('text', { x: zero, y: 62, class: 'tick', 'text-anchor': 'middle' }, '0'));
  const sum = x(split.sum);
  root.append(svg('path', { d: `M${sum - 5} 8 h10 l-5 9 z`, class: 'sum-mark' }));
  const toLeft = sum > width / 2;
  root.append(
    svg(
      'text',
      { x: toLeft ? sum - 9 : sum + 9, y: 14, class: 'mark', 'text-anchor': toLeft ? 'end' : 'start' },
      `sum ${formatNumber(split.sum)}`,
    ),
  );
  return root;
}

/** A bar from zero to the value, on the same scale for all rows. Decoration: the number stands beside it. */
function rowBar(value: number, extent: Extent, key: string): SVGSVGElement {
  const span = extent.high - extent.low || 1;
  const position = (at: number) => (100 * (at - extent.low)) / span;
  const start = position(Math.min(0, value));
  const bar = svg('svg', {
    class: 'row-bar',
    viewBox: '0 0 100 10',
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  bar.append(
    svg('rect', {
      x: start,
      y: 1,
      width: Math.abs(position(value) - position(0)),
      height: 8,
      class: `part part-${key}`,
    }),
    svg('line', { x1: position(0), x2: position(0), y1: 0, y2: 10, class: 'zero' }),
  );
  return bar;
}

function partsTable(split: Completeness, y: number): HTMLTableElement {
  const values = COMPLETENESS_PARTS.map(({ key }) => split[key]);
  const extent = { low: Math.min(0, ...values), high: Math.max(0, ...values) };
  const parts = COMPLETENESS_PARTS.map(({ key, name, meaning }) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, element('span', { class: `swatch part-${key}` }), name),
      element('td', { class: 'number' }, formatSigned(split[key])),
      element('td', { class: 'bar-cell' }, rowBar(split[key], extent, key)),
      element('td', { class: 'meaning' }, meaning),
    ),
  );
  const total = (name: string, value: number, meaning: string, className = '') =>
    element(
      'tr',
      { class: `total ${className}` },
      element('th', { scope: 'row' }, name),
      element('td', { class: 'number' }, formatNumber(value)),
      element('td', { class: 'bar-cell' }),
      element('td', { class: 'meaning' }, meaning),
    );
  return element(
    'table',
    { class: 'parts' },
    element('caption', {}, 'Parts of the sum'),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        element('th', { scope: 'col' }, 'Part'),
        element('th', { scope: 'col', class: 'number' }, 'Adds'),
        element('th', { scope: 'col', class: 'bar-cell' }, 'Bar'),
        element('th', { scope: 'col', class: 'meaning' }, 'What it is'),
      ),
    ),
    element(
      'tbody',
      {},
      ...parts,
      total('Sum', split.sum, 'all parts above', 'first'),
      total('Value', split.value, 'what the network gave for it, which the sum must meet'),
      total('Residual', split.residual, 'value minus sum: rounding'),
      total('Remainder', split.remainder, 'target minus value: what no sum explains (0 for logits)'),
      total('Target', y, 'the target itself'),
    ),
  );
}

export function mountCompleteness(store: Store): void {
  const section = byId('completeness', HTMLElement);
  const parts = byId('parts', HTMLElement);
  const note = byId('completeness-note', HTMLElement);
  const redraw = keepDrawn(byId('stack', HTMLElement), (width) => {
    const { completeness } = store.flow;
    return completeness === null ? '' : stackChart(completeness, width);
  });
  store.subscribe((_, changed) => {
    if (!changed('flow')) return;
    const { completeness, y } = store.flow;
    section.hidden = completeness === null; // the notes say why
    note.textContent = completeness === null ? '' : completenessSentence(completeness, y);
    parts.replaceChildren(completeness === null ? '' : partsTable(completeness, y));
    redraw();
  });
}
