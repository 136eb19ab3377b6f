import { flowColorTable } from '../flowColors.js';
import { scaleMap } from '../flowScale.js';
import { formatNumber, scaleNote } from '../flowWords.js';
import { byId, context2d, element } from './dom.js';
import type { Store } from './store.js';

/** The colour bar: the table in use, with the numbers its ends and quarters stand for. */

const TICKS = 5;

/** The five numbers under the bar, from its left end to its right end. */
export function tickTexts(store: Store): string[] {
  const { scale, block } = store.state;
  const { low, high } = scaleMap(store.flow, store.state, block);
  return Array.from({ length: TICKS }, (_, index) => {
    const value = low + ((high - low) * index) / (TICKS - 1);
    return scale === 'linear' || scale === 'sigmoid' ? String(Math.round(value)) : formatNumber(value);
  });
}

/** One row of 256 pixels with the table's colours. */
export function barPixels(store: Store): ImageData {
  const table = flowColorTable(store.colors);
  const image = new ImageData(256, 1);
  for (let i = 0; i < 256; i += 1)
    image.data.set([table[3 * i] ?? 0, table[3 * i + 1] ?? 0, table[3 * i + 2] ?? 0, 255], 4 * i);
  return image;
}

export function mountColorBar(store: Store): void {
  const canvas = byId('bar', HTMLCanvasElement);
  const ticks = byId('ticks', HTMLElement);
  const note = byId('scale-note', HTMLElement);
  store.subscribe((state, changed) => {
    if (!changed('flow', 'block', 'view', 'scale', 'head', 'colors')) return;
    context2d(canvas).putImageData(barPixels(store), 0, 0);
    const texts = tickTexts(store);
    ticks.replaceChildren(...texts.map((text) => element('span', {}, text)));
    canvas.setAttribute('aria-label', `Colour bar from ${texts[0] ?? ''} to ${texts.at(-1) ?? ''}`);
    note.textContent = scaleNote(state.view, state.scale);
  });
}
