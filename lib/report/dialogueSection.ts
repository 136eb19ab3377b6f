import type { Answer, Claim } from '../explain/answerDocument.js';
import { describeNumbers, describeVoice, voiceOf } from './answerWords.js';
import { escapeHtml } from './escapeHtml.js';

/** Questions and answers about one face, as a part of the report page. No script; everything from outside is escaped. */

/** Lines, not colours, tell the claims apart; the table below each answer says the same in words. */
export const DIALOGUE_STYLE = `
.dialogue dt { font-weight: bold; margin-top: 1rem; }
.dialogue dd { margin-left: 1rem; }
.dialogue .claim { text-decoration-line: underline; text-underline-offset: .2em; }
.dialogue .supported { text-decoration-style: solid; }
.dialogue .unknown { text-decoration-style: dotted; }
.dialogue .contradicted { text-decoration-style: wavy; }
.dialogue .replaced { border-left: 3px solid; padding-left: .7rem; }
.dialogue .scroll { overflow-x: auto; }
`;

const CLASSES: Readonly<Record<Claim['status'], string>> = {
  supported: 'supported',
  contradicted: 'contradicted',
  'not checkable': 'unknown',
};

/** The text with its claims underlined; of claims that overlap the first. */
function markedText(text: string, claims: readonly Claim[]): string {
  const ordered = [...claims].sort((a, b) => a.start - b.start);
  let html = '';
  let done = 0;
  for (const { start, end, status } of ordered) {
    if (start < done || end <= start) continue;
    html += escapeHtml(text.slice(done, start));
    html += `<span class="claim ${CLASSES[status]}">${escapeHtml(text.slice(start, end))}</span>`;
    done = end;
  }
  return html + escapeHtml(text.slice(done));
}

function claimTable(claims: readonly Claim[]): string {
  if (claims.length === 0) return '<p>It claims nothing about the result.</p>';
  const rows = claims.map((claim) => {
    const cells = [claim.status, claim.kind, describeNumbers(claim), claim.reason];
    const columns = cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('');
    return `<tr><th scope="row">${escapeHtml(claim.text)}</th>${columns}</tr>`;
  });
  const head = ['Words', 'Status', 'Kind', 'Numbers', 'Why'].map((name) => `<th scope="col">${name}</th>`);
  const summary = `<summary>${claims.length} ${claims.length === 1 ? 'claim' : 'claims'} and the numbers</summary>`;
  return (
    `<details>${summary}<div class="scroll" tabindex="0" role="group" aria-label="Claims of this answer">` +
    `<table><thead><tr>${head.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div></details>`
  );
}

function replacements({ replaced }: Answer): string {
  return replaced
    .map(
      ({ was, reason }) =>
        `<p class="replaced">Replaced by the check: <del>${escapeHtml(was)}</del> ${escapeHtml(reason)}</p>`,
    )
    .join('');
}

function roundsNote({ rounds }: Answer): string {
  return rounds.length < 2 ? '' : `<p>Asked ${rounds.length} times, then with the numbers stated.</p>`;
}

/**
 * @param answers of one dialogue, oldest first
 * @param number the face's number in the picture, from 1
 * @returns nothing for a face that nothing was asked about
 */
export function dialogueSection(answers: readonly Answer[], number: number): string {
  const [first] = answers;
  if (first === undefined) return '';
  const items = answers.map(
    (answer) =>
      `<dt>${escapeHtml(answer.question)}</dt><dd><p>${markedText(answer.text, answer.claims)}</p>` +
      `${replacements(answer)}${roundsNote(answer)}${claimTable(answer.claims)}</dd>`,
  );
  return (
    `<section class="dialogue" aria-label="Questions about face ${number}"><h4>Questions and answers</h4>` +
    `<p>${escapeHtml(describeVoice(voiceOf(first)))} The verdict comes from the detector. Underlined: ` +
    '<span class="claim supported">carried by the numbers</span>, ' +
    '<span class="claim unknown">not checkable</span>, <span class="claim contradicted">contradicted</span>.</p>' +
    `<dl>${items.join('')}</dl></section>`
  );
}
