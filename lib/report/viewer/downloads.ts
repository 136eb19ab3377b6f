import { formatNumber, SCALE_NAMES } from '../flowWords.js';
import { barPixels, tickTexts } from './colorBar.js';
import { byId, context2d, element } from './dom.js';
import { drawComposite } from './multiples.js';
import { paintCurrent, stageSize } from './stage.js';
import type { Store } from './store.js';

/** Saves what is seen as PNG, with its colour bar and numbers, and the document as JSON. */

/** Height of the strip with words and colour bar under the saved picture. */
const STRIP = 96;

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = element('a', { href: url, download: name });
  link.click();
  // the browser has taken the blob once the click is handled; a little later is on the safe side
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** File-name friendly: letters, digits, dot and dash. */
export function slug(text: string): string {
  return text.replace(/[^A-Za-z0-9.]+/g, '-').replace(/^[-.]+|[-.]+$/g, '') || 'flow';
}

function stem(store: Store): string {
  const file = (store.document.input.path ?? 'tensor').split(/[/\\]/).at(-1) ?? '';
  return slug(`${file.replace(/\.[A-Za-z0-9]{1,5}$/, '')}-${store.flow.target.name}`);
}

function drawStrip(context: CanvasRenderingContext2D, store: Store, width: number, top: number): void {
  const { block, view, scale, head } = store.state;
  const { blocks } = store.document;
  context.fillStyle = '#ffffff';
  context.fillRect(0, top, width, STRIP);
  context.fillStyle = '#1b1d20';
  context.font = '600 16px system-ui, sans-serif';
  context.textBaseline = 'alphabetic';
  const which =
    view === 'accumulated' ? `Blocks 1 to ${block + 1} of ${blocks}` : `Block ${block + 1} of ${blocks}`;
  const detail = view === 'signed' ? ', signed' : head === null ? '' : `, head ${head + 1}`;
  context.fillText(
    `${which}${detail}: ${store.flow.target.name} = ${formatNumber(store.flow.y)}`,
    12,
    top + 24,
    width - 24,
  );
  context.font = '13px system-ui, sans-serif';
  context.fillText(
    `${SCALE_NAMES[scale]} · ${store.document.coefficients} · ${store.document.model.name}`,
    12,
    top + 44,
    width - 24,
  );
  const bar = element('canvas', { width: 256, height: 1 });
  context2d(bar).putImageData(barPixels(store), 0, 0);
  context.drawImage(bar, 12, top + 54, width - 24, 14);
  const texts = tickTexts(store);
  texts.forEach((text, index) => {
    context.textAlign = index === 0 ? 'left' : index === texts.length - 1 ? 'right' : 'center';
    context.fillText(text, 12 + ((width - 24) * index) / (texts.length - 1), top + 85);
  });
  context.textAlign = 'left';
}

function savePng(store: Store, picture: HTMLImageElement): void {
  const size = stageSize({ width: picture.naturalWidth, height: picture.naturalHeight });
  const canvas = element('canvas', { width: size.width, height: size.height + STRIP });
  const overlay = paintCurrent(store, store.state.block, size);
  drawComposite(canvas, picture, overlay, store.state.opacity);
  drawStrip(context2d(canvas), store, size.width, size.height);
  const number = String(store.state.block + 1).padStart(2, '0');
  canvas.toBlob((blob) => {
    if (blob !== null) save(blob, `${stem(store)}-${store.state.view}-block${number}.png`);
  }, 'image/png');
}

/** @param json the document as the page carries it */
export function mountDownloads(store: Store, json: string): void {
  const picture = byId('picture', HTMLImageElement);
  byId('save-png', HTMLButtonElement).addEventListener('click', () => savePng(store, picture));
  byId('save-json', HTMLButtonElement).addEventListener('click', () =>
    save(new Blob([json], { type: 'application/json' }), `${stem(store)}.json`),
  );
}
