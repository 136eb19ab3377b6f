import { formatPercent } from '../flowWords.js';
import { byId, context2d, element } from './dom.js';
import { paintCurrent } from './stage.js';
import type { Store } from './store.js';

/** All blocks at once, on the scale and in the colours chosen; a click or Enter goes to the block. */

const LONGER_SIDE = 160;

function thumbnailSize(picture: HTMLImageElement): { width: number; height: number } {
  const factor = LONGER_SIDE / Math.max(picture.naturalWidth, picture.naturalHeight);
  return {
    width: Math.max(1, Math.round(picture.naturalWidth * factor)),
    height: Math.max(1, Math.round(picture.naturalHeight * factor)),
  };
}

/** The picture with a map over it, at any size: thumbnails and the saved PNG. */
export function drawComposite(
  canvas: HTMLCanvasElement,
  picture: HTMLImageElement,
  overlay: ImageData,
  opacity: number,
): void {
  const context = context2d(canvas);
  context.globalAlpha = 1;
  context.drawImage(picture, 0, 0, overlay.width, overlay.height);
  const layer = element('canvas', { width: overlay.width, height: overlay.height });
  context2d(layer).putImageData(overlay, 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(layer, 0, 0);
  context.globalAlpha = 1;
}

export function mountMultiples(store: Store): void {
  const list = byId('multiples', HTMLOListElement);
  const picture = byId('picture', HTMLImageElement);
  const size = thumbnailSize(picture);
  const blocks = Array.from({ length: store.document.blocks }, (_, block) => {
    const canvas = element('canvas', { ...size, 'aria-hidden': 'true' });
    const share = element('span', { class: 'share' });
    const number = element('span', {}, element('span', { class: 'quiet' }, 'Block '), String(block + 1));
    const button = element('button', { type: 'button' }, canvas, number, ' ', share);
    button.addEventListener('click', () => store.update({ block, playing: false }));
    list.append(element('li', {}, button));
    return { button, canvas, share };
  });
  store.subscribe((state, changed) => {
    if (changed('flow', 'view', 'scale', 'head', 'colors', 'opacity', 'fade', 'smooth')) {
      blocks.forEach(({ canvas, share }, block) => {
        drawComposite(canvas, picture, paintCurrent(store, block, canvas), state.opacity);
        share.textContent = formatPercent(store.flow.share[block] ?? 0);
      });
    }
    if (changed('block'))
      blocks.forEach(({ button }, block) =>
        button.setAttribute('aria-pressed', String(block === state.block)),
      );
  });
}
