import { blockSentence } from '../flowWords.js';
import { byId } from './dom.js';
import type { Store } from './store.js';

/** The block slider, play and pause, and the keys for both. */

const FRAME_MS = 700;
/** For readers who asked their system for less motion: playing still is their own choice, but slow. */
const CALM_FRAME_MS = 1500;

function startTimer(store: Store): number {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  return setInterval(
    () => {
      const { block } = store.state;
      if (block + 1 >= store.document.blocks) store.update({ playing: false });
      else store.update({ block: block + 1 });
    },
    calm ? CALM_FRAME_MS : FRAME_MS,
  );
}

function togglePlay(store: Store): void {
  const { playing, block } = store.state;
  const atEnd = block + 1 >= store.document.blocks;
  store.update({ playing: !playing, block: !playing && atEnd ? 0 : block });
}

/** Keys that work where nothing else has the focus, and on the slider. */
function listenForKeys(store: Store, slider: HTMLInputElement): void {
  const last = store.document.blocks - 1;
  const targets: Readonly<Record<string, () => number>> = {
    ArrowLeft: () => store.state.block - 1,
    ArrowRight: () => store.state.block + 1,
    Home: () => 0,
    End: () => last,
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const onPage = event.target === document.body || event.target === document.documentElement;
    const onSlider = event.target === slider;
    const onStage = event.target instanceof HTMLElement && event.target.id === 'stage';
    if (event.key === ' ' && (onPage || onSlider || onStage)) {
      event.preventDefault();
      togglePlay(store);
      return;
    }
    const target = targets[event.key];
    if (target === undefined || !onPage) return; // the slider moves by itself, the stage moves its cell
    event.preventDefault();
    store.update({ block: target(), playing: false });
  });
}

/** Says where we are once the reader has stopped moving; while playing it stays quiet. */
function announceBlocks(store: Store, live: HTMLElement): void {
  let timer = 0;
  let first = true;
  store.subscribe((_, changed) => {
    if (!changed('block', 'flow', 'view', 'playing')) return;
    clearTimeout(timer);
    if (first || store.state.playing) {
      first = false;
      return;
    }
    timer = setTimeout(() => {
      live.textContent = blockSentence(store.document, store.flow, store.state.block);
    }, 400);
  });
}

export function mountPlayer(store: Store): void {
  const slider = byId('block', HTMLInputElement);
  const label = byId('block-label', HTMLElement);
  const button = byId('play', HTMLButtonElement);
  let timer: number | undefined;
  slider.addEventListener('input', () => store.update({ block: Number(slider.value) - 1, playing: false }));
  button.addEventListener('click', () => togglePlay(store));
  listenForKeys(store, slider);
  announceBlocks(store, byId('live', HTMLElement));
  store.subscribe((state, changed) => {
    if (changed('block', 'flow')) {
      slider.value = String(state.block + 1);
      const sentence = blockSentence(store.document, store.flow, state.block);
      slider.setAttribute('aria-valuetext', sentence);
      label.textContent = sentence;
    }
    if (changed('playing')) {
      clearInterval(timer);
      timer = state.playing ? startTimer(store) : undefined;
      button.textContent = state.playing ? 'Pause' : 'Play';
    }
  });
}
