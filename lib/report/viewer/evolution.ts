import { isApproximate, runningShare } from '../flowScale.js';
import { decisionSentence, formatNumber, formatPercent } from '../flowWords.js';
import { byId, numberTable, svg } from './dom.js';
import { createPlot, keepDrawn, polyline, type Plot } from './plot.js';
import type { Store } from './store.js';

/** How the map grows: share of each block with the running total, and agreement with the final map. */

const SHARE_HEIGHT = 210;
const AGREEMENT_HEIGHT = 170;
/** Of a milestone's label with its distance from the dot. */
const LABEL_HEIGHT = 22;

/** A dot where the running total passes a milestone, with its block number. */
function milestone(plot: Plot, block: number | null, total: number, text: string): void {
  if (block === null) return;
  const [x, y] = [plot.x(block), plot.y(total)];
  const toLeft = x > (plot.left + plot.right) / 2;
  const hasRoomAbove = y > LABEL_HEIGHT;
  plot.root.append(
    svg('line', { x1: x, x2: x, y1: y, y2: plot.bottom, class: 'drop' }),
    svg('circle', { cx: x, cy: y, r: 4.5, class: 'milestone' }),
    svg(
      'text',
      {
        x: toLeft ? x - 9 : x + 9,
        y: hasRoomAbove ? y - 7 : y + 4,
        class: 'mark',
        'text-anchor': toLeft ? 'end' : 'start',
      },
      `${text}: block ${block + 1}`,
    ),
  );
}

/** How a block's bar looks: in view or not, and dashed where its coefficients are approximate. */
function barClass(store: Store, block: number): string {
  const { coefficients, blocks } = store.document;
  const current = block === store.state.block ? ' current' : '';
  return `share-bar${current}${isApproximate(coefficients, block, blocks) ? ' approximate' : ''}`;
}

function shareChart(store: Store, width: number): SVGSVGElement {
  const { flow } = store;
  const running = runningShare(flow);
  const plot = createPlot({
    width,
    height: SHARE_HEIGHT,
    blocks: flow.share.length,
    current: store.state.block,
    low: 0,
    high: 1,
    lines: [
      { value: 0, text: '0 %', strong: true },
      { value: 0.5, text: '50 %' },
      { value: 0.9, text: '90 %' },
    ],
    label: `Share of the map by block. ${decisionSentence(flow)}`,
    onSelect: (block) => store.update({ block, playing: false }),
  });
  const barWidth = Math.max(2, plot.columnWidth * 0.62);
  flow.share.forEach((share, block) => {
    const height = plot.bottom - plot.y(share);
    const attributes = { x: plot.x(block) - barWidth / 2, y: plot.y(share), width: barWidth, height };
    plot.root.append(svg('rect', { ...attributes, class: barClass(store, block) }));
  });
  polyline(plot, running, 'total');
  const { half, ninety } = flow.milestones;
  milestone(plot, half, running[half ?? 0] ?? 0, 'half');
  milestone(plot, ninety, running[ninety ?? 0] ?? 0, 'nine tenths');
  return plot.root;
}

function agreementChart(store: Store, width: number): SVGSVGElement {
  const { iou, spearman } = store.flow.agreement;
  const lowest = Math.min(0, ...spearman);
  const { block } = store.state;
  const low = lowest < 0 ? -1 : 0;
  const plot = createPlot({
    width,
    height: AGREEMENT_HEIGHT,
    blocks: iou.length,
    current: block,
    low,
    high: 1,
    lines: [
      ...(low < 0 ? [{ value: -1, text: '\u22121' }] : []),
      { value: 0, text: '0', strong: true },
      { value: 0.5, text: '0.5' },
      { value: 1, text: '1' },
    ],
    label:
      `Agreement of the accumulated map with the final one. Up to block ${block + 1}: overlap ` +
      `${formatNumber(iou[block] ?? NaN)}, rank correlation ${formatNumber(spearman[block] ?? NaN)}`,
    onSelect: (selected) => store.update({ block: selected, playing: false }),
  });
  polyline(plot, iou, 'iou');
  polyline(plot, spearman, 'spearman');
  return plot.root;
}

function evolutionTable(store: Store): HTMLTableElement {
  const { flow } = store;
  const running = runningShare(flow);
  const rows = flow.share.map((share, block) => [
    String(block + 1),
    formatPercent(share),
    formatPercent(running[block] ?? 0),
    formatNumber(flow.agreement.iou[block] ?? NaN),
    formatNumber(flow.agreement.spearman[block] ?? NaN),
    formatNumber(flow.prefix_mass[block] ?? NaN),
  ]);
  return numberTable(
    'By block: what it adds, and how far the accumulated map agrees with the final one',
    ['Block', 'Share', 'Reached', 'Overlap (IoU)', 'Rank correlation', 'Prefix mass'],
    rows,
  );
}

export function mountEvolution(store: Store): void {
  const redrawShare = keepDrawn(byId('share', HTMLElement), (width) => shareChart(store, width));
  const redrawAgreement = keepDrawn(byId('agreement', HTMLElement), (width) => agreementChart(store, width));
  const table = byId('evolution-table', HTMLElement);
  store.subscribe((_, changed) => {
    if (changed('flow')) table.replaceChildren(evolutionTable(store));
    if (!changed('flow', 'block')) return;
    redrawShare();
    redrawAgreement();
  });
}
