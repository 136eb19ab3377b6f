import { scalesOf, type FlowScale, type FlowView } from '../flowScale.js';
import { decisionSentence, SCALE_NAMES, formatNumber } from '../flowWords.js';
import { byId, element } from './dom.js';
import type { Store, ViewState } from './store.js';

/** Target, view, scale, colours and opacity: each form control writes one entry of the state. */

function mountTarget(store: Store): void {
  const select = byId('target', HTMLSelectElement);
  select.addEventListener('change', () => store.update({ flow: select.selectedIndex }));
  const value = byId('target-value', HTMLElement);
  const description = byId('target-description', HTMLElement);
  const sentence = byId('sentence', HTMLElement);
  store.subscribe((state, changed) => {
    if (!changed('flow')) return;
    select.selectedIndex = state.flow;
    description.textContent = store.flow.target.description;
    value.textContent = formatNumber(store.flow.y);
    sentence.textContent = decisionSentence(store.flow);
  });
}

function mountView(store: Store): void {
  const radios = [...document.querySelectorAll<HTMLInputElement>('input[name="view"]')];
  for (const radio of radios) {
    radio.addEventListener('change', () => {
      if (radio.checked) store.update({ view: radio.value as FlowView });
    });
  }
  store.subscribe(({ view }) => {
    for (const radio of radios) radio.checked = radio.value === view;
  });
}

/** Heads can be chosen where the document has them and each block is looked at alone. */
function mountHead(store: Store): void {
  const select = byId('head', HTMLSelectElement);
  const place = byId('head-choice', HTMLElement);
  select.addEventListener('change', () =>
    store.update({ head: select.selectedIndex === 0 ? null : select.selectedIndex - 1 }),
  );
  store.subscribe((state, changed) => {
    if (!changed('flow', 'view', 'head')) return;
    const heads = store.flow.heads?.[0]?.length ?? 0;
    place.hidden = heads === 0 || state.view !== 'block';
    const names = ['All heads', ...Array.from({ length: heads }, (_, head) => `Head ${head + 1}`)];
    select.replaceChildren(...names.map((name) => element('option', {}, name)));
    select.selectedIndex = state.head === null ? 0 : state.head + 1;
  });
}

/** Only the scales that the view has: the published renderings are defined on accumulated maps alone. */
function mountScale(store: Store): void {
  const select = byId('scale', HTMLSelectElement);
  select.addEventListener('change', () => store.update({ scale: select.value as FlowScale }));
  store.subscribe((state, changed) => {
    if (!changed('view', 'scale')) return;
    select.replaceChildren(
      ...scalesOf(state.view).map((scale) => element('option', { value: scale }, SCALE_NAMES[scale])),
    );
    select.value = state.scale;
  });
}

function mountColors(store: Store): void {
  const select = byId('colors', HTMLSelectElement);
  const names = { inferno: 'Inferno', viridis: 'Viridis', jet: 'Jet (as published)' };
  select.addEventListener('change', () => store.update({ colors: select.value as ViewState['colors'] }));
  store.subscribe((state, changed) => {
    if (!changed('view', 'colors')) return;
    const signed = state.view === 'signed';
    const options = signed ? { diverging: 'Blue, white, red' } : names;
    select.replaceChildren(
      ...Object.entries(options).map(([value, name]) => element('option', { value }, name)),
    );
    select.value = store.colors;
    select.disabled = signed; // one diverging table: nothing to choose
  });
}

function mountLooks(store: Store): void {
  const opacity = byId('opacity', HTMLInputElement);
  const label = byId('opacity-label', HTMLElement);
  const fade = byId('fade', HTMLInputElement);
  const smooth = byId('smooth', HTMLInputElement);
  opacity.addEventListener('input', () => store.update({ opacity: Number(opacity.value) / 100 }));
  fade.addEventListener('change', () => store.update({ fade: fade.checked }));
  smooth.addEventListener('change', () => store.update({ smooth: smooth.checked }));
  store.subscribe((state) => {
    const percent = Math.round(100 * state.opacity);
    opacity.value = String(percent);
    opacity.setAttribute('aria-valuetext', `${percent} percent`);
    label.textContent = `${percent} %`;
    fade.checked = state.fade;
    smooth.checked = state.smooth;
  });
}

export function mountControls(store: Store): void {
  mountTarget(store);
  mountView(store);
  mountHead(store);
  mountScale(store);
  mountColors(store);
  mountLooks(store);
}
