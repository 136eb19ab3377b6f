import type { FlowDocument } from '../../daam/flowDocument.js';
import { mountColorBar } from './colorBar.js';
import { mountCompleteness } from './completeness.js';
import { mountContributions } from './contributions.js';
import { mountControls } from './controls.js';
import { byId } from './dom.js';
import { mountDownloads } from './downloads.js';
import { mountEvolution } from './evolution.js';
import { mountMultiples } from './multiples.js';
import { mountPlayer } from './player.js';
import { mountStage } from './stage.js';
import { Store } from './store.js';

/** Entry of the viewer page: reads the document out of the page and puts each part in its place. */
async function start(): Promise<void> {
  const json = byId('flow-document', HTMLScriptElement).textContent;
  const store = new Store(JSON.parse(json) as FlowDocument);
  await byId('picture', HTMLImageElement).decode();
  mountStage(store);
  mountColorBar(store);
  mountPlayer(store);
  mountControls(store);
  mountEvolution(store);
  mountMultiples(store);
  mountCompleteness(store);
  mountContributions(store);
  mountDownloads(store, json);
  document.documentElement.dataset['ready'] = 'true';
}

start().catch((error: unknown) => {
  const place = byId('failure', HTMLElement);
  place.textContent = `The viewer could not start: ${String(error)}`;
  place.hidden = false;
});
