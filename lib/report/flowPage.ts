import { createHash } from 'node:crypto';
import path from 'node:path';
import type { FlowDocument } from '../daam/flowDocument.js';
import { KfdError } from '../errors.js';
import type { DetectedModel } from '../kfd/detection.js';
import { describeMaturity } from '../kfd/maturity.js';
import { checkFlowDocument } from './flowScale.js';
import { viewerScript } from './flowScript.js';
import { FLOW_STYLE } from './flowStyle.js';
import { BLOCK_PARTS, describeCoefficients, formatNumber } from './flowWords.js';
import { escapeHtml } from './escapeHtml.js';

/** The picture that the network saw, in the network's own size. */
export interface FlowPicture {
  png: Uint8Array;
  width: number;
  height: number;
}

export interface FlowPageOptions {
  /** Heading and title; default the input's file name. */
  title?: string;
}

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** No network at all: one script and one style by their hashes, pictures inside the page. */
function contentSecurityPolicy(script: string): string {
  return (
    `default-src 'none'; img-src data:; script-src ${hashOf(script)}; style-src ${hashOf(FLOW_STYLE)}; ` +
    `base-uri 'none'; form-action 'none'`
  );
}

/** JSON for a data script: `<` is escaped, so that no string can end the element. */
function inlineJson(document: FlowDocument): string {
  return JSON.stringify(document).replaceAll('<', '\\u003c');
}

function headingOf({ input }: FlowDocument, { title }: FlowPageOptions): string {
  return title ?? (input.path === null ? 'Ready-made tensor' : path.basename(input.path));
}

function verdictHtml({ verdict }: FlowDocument): string {
  if (verdict === undefined) return '';
  const relation = verdict.score >= verdict.threshold ? 'at or above' : 'below';
  return (
    `<p class="verdict"><strong>${escapeHtml(verdict.verdict.toUpperCase())}</strong>` +
    `<span>forgery score ${verdict.score.toFixed(3)}, ${relation} the threshold ${formatNumber(verdict.threshold)}</span></p>`
  );
}

const MATURITIES: readonly string[] = ['demonstration', 'research', 'recommended', 'unknown'];

/** What the weights are worth belongs beside a verdict; plain ViTs carry no such statement. */
function maturityHtml({ model }: FlowDocument): string {
  if (model.maturity === null || !MATURITIES.includes(model.maturity)) return '';
  const sentence = describeMaturity(model.maturity as DetectedModel['maturity']);
  return `<p class="maturity">${escapeHtml(sentence)}</p>`;
}

function notesHtml({ notes }: FlowDocument): string {
  if (notes.length === 0) return '';
  return `<ul class="notes">${notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul>`;
}

function headerHtml(document: FlowDocument, heading: string): string {
  return `<header>
<div><p class="kicker">Attention flow: how the decision forms, block by block</p>
<h1>${escapeHtml(heading)}</h1>
${verdictHtml(document)}</div>
<div>${maturityHtml(document)}${notesHtml(document)}</div>
<p id="failure" role="alert" hidden></p>
<noscript><p>This page draws its maps with a script that it carries itself; switch scripts on to see them.</p></noscript>
</header>`;
}

function stageHtml({ blocks, input }: FlowDocument, picture: FlowPicture): string {
  const source = `data:image/png;base64,${Buffer.from(picture.png).toString('base64')}`;
  const name = input.path === null ? 'the input tensor' : path.basename(input.path);
  return `<div>
<div id="stage" role="application" tabindex="0" aria-label="Map over the picture: arrow keys move the cell cursor" aria-describedby="cell">
<img id="picture" src="${source}" width="${picture.width}" height="${picture.height}" alt="${escapeHtml(name)} as the network saw it">
<canvas id="overlay" role="img" aria-label="Map"></canvas><div id="cursor" hidden></div><div id="tip" aria-hidden="true" hidden></div>
</div>
<div class="player">
<output id="block-label" for="block"></output>
<button id="play" type="button">Play</button>
<input id="block" type="range" min="1" max="${blocks}" step="1" value="${blocks}" aria-label="Block">
</div>
<canvas id="bar" class="bar-canvas" width="256" height="1" role="img" aria-label="Colour bar"></canvas>
<div id="ticks"></div>
<p id="scale-note"></p>
<p id="cell" aria-live="polite"></p>
<p id="live" class="quiet" role="status"></p>
</div>`;
}

function controlsHtml({ flows }: FlowDocument): string {
  const targets = flows.map(({ target }) => `<option>${escapeHtml(target.name)}</option>`).join('');
  return `<form class="controls" autocomplete="off">
<div class="wide"${flows.length > 1 ? '' : ' hidden'}><label for="target">Target</label><select id="target">${targets}</select></div>
<fieldset class="wide"><legend>View</legend><div class="choices">
<label><input type="radio" name="view" value="accumulated" checked>Accumulated up to this block</label>
<label><input type="radio" name="view" value="block">This block alone</label>
<label><input type="radio" name="view" value="signed">This block, signed</label>
</div></fieldset>
<div id="head-choice" class="wide" hidden><label for="head">Attention heads</label><select id="head"></select></div>
<div><label for="scale">Scale</label><select id="scale"></select></div>
<div><label for="colors">Colours</label><select id="colors"></select></div>
<div><label for="opacity">Opacity of the map <span id="opacity-label"></span></label><input id="opacity" type="range" min="0" max="100" value="75"></div>
<div class="choices"><label><input id="fade" type="checkbox" checked>Fade where the map is low</label>
<label><input id="smooth" type="checkbox">Smooth between cells</label></div>
<div class="buttons wide"><button id="save-png" type="button">Download PNG</button><button id="save-json" type="button">Download JSON</button></div>
</form>`;
}

function decisionHtml(document: FlowDocument): string {
  const approximate =
    document.coefficients === 'class-row'
      ? '<li><span class="swatch approximate-key"></span>approximate: class-row, worse the earlier the block</li>'
      : '';
  return `<div>
<p id="sentence" class="sentence"></p>
<p class="note">Target: <span id="target-description"></span>, value <span id="target-value"></span>. By ${escapeHtml(describeCoefficients(document.coefficients))}.</p>
<figure><h2>Where the map comes from</h2><div id="share" class="chart"></div>
<ul class="legend"><li><span class="swatch share-key"></span>share of each block</li><li><span class="key key-total"></span>reached so far</li>${approximate}</ul></figure>
${controlsHtml(document)}
</div>`;
}

function agreementHtml(): string {
  return `<section class="band" aria-labelledby="agreement-title">
<h2 id="agreement-title">Agreement with the final map</h2><div id="agreement" class="chart"></div>
<ul class="legend"><li><span class="key key-iou"></span>overlap of the cells above the mean (IoU)</li><li><span class="key key-spearman"></span>rank correlation (Spearman)</li></ul>
<details><summary>Numbers of all blocks as a table</summary><div id="evolution-table" class="scroll" tabindex="0" role="region" aria-label="Numbers by block"></div></details>
</section>`;
}

function contributionsHtml(): string {
  const legend = BLOCK_PARTS.map(
    ({ key, name }) => `<li><span class="swatch part-${key}"></span>${escapeHtml(name)}</li>`,
  ).join('');
  return `<section class="band" id="contributions-section" aria-labelledby="contributions-title">
<h2 id="contributions-title">What each block added to the target</h2>
<div id="contributions" class="chart"></div><ul class="legend">${legend}</ul>
<details><summary>These numbers as a table</summary><div id="contributions-table" class="scroll" tabindex="0" role="region" aria-label="Contributions by block"></div></details>
</section>`;
}

function completenessHtml(): string {
  return `<section class="band" id="completeness" aria-labelledby="completeness-title">
<h2 id="completeness-title">What adds up to the target</h2>
<p id="completeness-note" class="note"></p>
<div id="stack" class="chart"></div><div id="parts"></div>
</section>`;
}

const KEYS: readonly (readonly [string, string])[] = [
  ['<kbd>←</kbd> <kbd>→</kbd>', 'one block back or on, on the slider or where nothing has the focus'],
  ['<kbd>Home</kbd> <kbd>End</kbd>', 'first or last block'],
  ['<kbd>Space</kbd>', 'play or pause, on the slider, on the map, or where nothing has the focus'],
  [
    '<kbd>↑</kbd> <kbd>↓</kbd> <kbd>←</kbd> <kbd>→</kbd> on the map',
    'move the cell cursor and read its numbers',
  ],
  ['<kbd>Esc</kbd> on the map', 'put the cell cursor away'],
  ['<kbd>Enter</kbd> on a small picture', 'go to that block'],
];

function factsHtml(document: FlowDocument): string {
  const { input, model, grid, network, timing } = document;
  const facts: [string, string][] = [
    ['Input', `${input.path ?? 'tensor'}, ${input.width} x ${input.height} pixels`],
    [
      'Network input',
      `${network.width} x ${network.height} pixels, grid ${grid[0]} x ${grid[1]}, ${document.prefix_tokens} prefix tokens`,
    ],
    ['Model', `${model.name}, ${model.device}, ${model.precision}`],
    ['SHA-256', model.sha256 ?? 'no manifest'],
    ['Coefficients', describeCoefficients(document.coefficients)],
    ['Rows', document.rows === 'class' ? 'class token' : 'all tokens'],
    ['Time', `${formatNumber(timing.forwardMs)} ms forward pass, ${formatNumber(timing.flowMs)} ms flow`],
  ];
  const list = facts.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`).join('');
  const keys = KEYS.map(([key, action]) => `<dt>${key}</dt><dd>${action}</dd>`).join('');
  return `<section class="band"><h2>Keys</h2><dl>${keys}</dl></section>
<section class="band"><h2>About this file</h2><dl>${list}</dl>
<p class="note">Blocks count from 1 on this page and from 0 in the JSON. Identity error of the targets: ${document.flows
    .map(({ identity_error }) => formatNumber(identity_error))
    .join(
      ', ',
    )} (largest difference between a block's summed map and coefficient times activation).</p></section>`;
}

/**
 * The viewer of a flow as one self-contained page: no network, works from a file.
 *
 * @param document maps of at least one target
 * @param picture what the network saw
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT where the document's arrays do not fit its grid, ERR_KFD_FILE_NOT_FOUND
 *   where the viewer's script was not built
 */
export function flowPage(
  document: FlowDocument,
  picture: FlowPicture,
  options: FlowPageOptions = {},
): string {
  const problem = checkFlowDocument(document);
  if (problem !== null)
    throw new KfdError('ERR_KFD_INVALID_ARGUMENT', `The flow cannot be shown: ${problem}.`);
  const script = viewerScript();
  const heading = headingOf(document, options);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy(script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(heading)}: attention flow</title><style>${FLOW_STYLE}</style></head><body>
<a class="skip" href="#stage">Skip to the map</a>
${headerHtml(document, heading)}
<main>
<div class="viewer">
${stageHtml(document, picture)}
${decisionHtml(document)}
</div>
<section class="band" aria-labelledby="multiples-title"><h2 id="multiples-title">All blocks</h2>
<p class="note">In the view, scale and colours chosen above; the percentage is what the block adds.</p>
<ol id="multiples"></ol></section>
<div class="pair">
${agreementHtml()}
${contributionsHtml()}
</div>
${completenessHtml()}
${factsHtml(document)}
</main>
<script type="application/json" id="flow-document">${inlineJson(document)}</script>
<script>${script}</script>
</body></html>
`;
}
