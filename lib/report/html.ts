import { createHash } from 'node:crypto';
import type { Detection, FaceDetection } from '../kfd/detection.js';
import { describeMaturity } from '../kfd/maturity.js';
import { DIALOGUE_STYLE } from './dialogueSection.js';
import { escapeHtml } from './escapeHtml.js';

/** The parts of the report page as text. All that comes from outside goes through `escapeHtml`. */

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText; }
body { max-width: 72rem; margin: 0 auto; padding: 1rem; }
a:focus-visible, summary:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; background: Canvas; }
.notice { border: 2px solid; border-radius: .3rem; padding: .5rem .8rem; }
table { border-collapse: collapse; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid GrayText; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.path { overflow-wrap: anywhere; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { max-width: 30rem; font-size: .9rem; }
.bar { width: 16rem; }
.bar .ticks { display: flex; justify-content: space-between; font-size: .85rem; font-variant-numeric: tabular-nums; }
.bar img { display: block; width: 100%; height: 1rem; }
article { border-top: 2px solid; margin-top: 2rem; }
code { overflow-wrap: anywhere; }
${DIALOGUE_STYLE}`;

/** No script, no network, no frame: only the style below (by its hash) and pictures inside the page itself. */
function contentSecurityPolicy(): string {
  const hash = createHash('sha256').update(STYLE).digest('base64');
  return `default-src 'none'; img-src data:; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
}

export interface Figure {
  /** A data URI. */
  source: string;
  width: number;
  height: number;
  alternative: string;
  caption: string;
}

export function figureHtml({ source, width, height, alternative, caption }: Figure): string {
  return (
    `<figure><img src="${source}" width="${width}" height="${height}" alt="${escapeHtml(alternative)}">` +
    `<figcaption>${escapeHtml(caption)}</figcaption></figure>`
  );
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** "FAKE" or "REAL" with the numbers it rests on. */
export function verdictSentence({ verdict, score, threshold }: FaceDetection): string {
  const relation = verdict === 'fake' ? 'at or above' : 'below';
  return `${verdict.toUpperCase()}: forgery score ${score.toFixed(3)}, ${relation} the threshold ${threshold}`;
}

export function regionTable(regions: FaceDetection['regions']): string {
  if (regions.length === 0) return '<p>No named regions: the crop is not a canonical face crop.</p>';
  const rows = regions.map(
    ({ name, score, share }) =>
      `<tr><th scope="row">${escapeHtml(name)}</th><td class="number">${score.toFixed(3)}</td>` +
      `<td class="number">${percent(share)}</td></tr>`,
  );
  return (
    '<table><caption>Mean of the map in each region, highest first; regions overlap. Which part was edited does not follow from it: see the measured figures</caption><thead><tr><th scope="col">Region</th>' +
    `<th scope="col">Mean of the map</th><th scope="col">Share of the map</th></tr></thead><tbody>${rows.join('')}</tbody></table>`
  );
}

/** The regions that the rule names (docs/regions.md); empty where it names none. */
export function namedRegionsSentence({ namedRegions, extent }: FaceDetection): string {
  if (namedRegions.length === 0) return '';
  const marked = extent === null ? '' : ` About ${percent(extent)} of the face is marked.`;
  return `<p>Standing out on the map: ${escapeHtml(namedRegions.join(', '))}.${marked}</p>`;
}

export function colorBarHtml(source: string): string {
  const ticks = ['0', '0.25', '0.5', '0.75', '1'].map((tick) => `<span>${tick}</span>`).join('');
  return (
    `<div class="bar"><img src="${source}" alt="Colour bar from 0, dark, to 1, light">` +
    `<div class="ticks">${ticks}</div><p>Probability that a pixel was forged. The same scale in every picture.</p></div>`
  );
}

/** One line of the table at the top of the page. */
export function summaryRow(detection: Detection, name: string, anchor: string): string {
  const { status, faces, error } = detection;
  const outcome =
    status === 'ok'
      ? faces.map(({ verdict, score }) => `${verdict} (${score.toFixed(3)})`).join(', ')
      : status === 'no-face'
        ? 'no face found, so no score'
        : `could not be read: ${error?.message ?? ''}`;
  return (
    `<tr><td class="path"><a href="#${anchor}">${escapeHtml(name)}</a></td>` +
    `<td>${escapeHtml(status)}</td><td>${escapeHtml(outcome)}</td></tr>`
  );
}

export interface PageFrame {
  title: string;
  model: Detection['model'];
  /** What the model was measured to be good for, a sentence each. */
  notes: readonly string[];
  /** Links to the other pages of the report, already HTML. */
  navigation: string;
  colorBar: string;
  summaryRows: readonly string[];
}

function noteList(notes: readonly string[]): string {
  if (notes.length === 0) return '';
  return `<p>Measured with this model:</p><ul>${notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul>`;
}

export function pageHead({ title, model, notes, navigation, colorBar, summaryRows }: PageFrame): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>
<a class="skip" href="#results">Skip to the results</a>
<header><h1>${escapeHtml(title)}</h1>
<p class="notice"><strong>${escapeHtml(describeMaturity(model.maturity))}</strong></p>
<p>Model <strong>${escapeHtml(model.name)}</strong>, SHA-256 <code>${escapeHtml(model.sha256)}</code>, on
${escapeHtml(model.device)}, ${escapeHtml(model.precision)}. A forgery score is the network's probability of a forged face;
it is no statement about who made a picture or why.</p>
${noteList(notes)}${colorBar}${navigation}</header>
<main id="results">
<table><caption>All inputs</caption><thead><tr><th scope="col">Input</th><th scope="col">Status</th>
<th scope="col">Verdict (score)</th></tr></thead><tbody>
${summaryRows.join('\n')}
</tbody></table>
`;
}

export const PAGE_END = '</main></body></html>\n';
