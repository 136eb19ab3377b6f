import type { Answer, Claim, Conditioning } from '../explain/answerDocument.js';
import { regionList } from '../explain/sentences/regionNames.js';

/** How answers are introduced and commented, the same on the terminal, in a saved dialogue and on the report page. */

/** Who speaks in a dialogue, and whether anybody checks it. */
export interface Voice {
  conditioning: Conditioning;
  fallback: string | null;
  checked: boolean;
  languageModel: string | null;
}

export function voiceOf({ conditioning, fallback, checked, models }: Answer): Voice {
  return { conditioning, fallback, checked, languageModel: models.languageModel?.name ?? null };
}

/** "Answers by SmolLM2-135M-Instruct through soft prompts, checked against the numbers." */
export function describeVoice({ conditioning, fallback, checked, languageModel }: Voice): string {
  if (conditioning === 'sentences') {
    const reason = fallback === null ? '.' : `: ${fallback}`;
    return `Answers are made from the numbers, no language model${reason}`;
  }
  const how = conditioning === 'prompts' ? 'through soft prompts' : 'told the numbers as text';
  const check = checked ? 'checked against the numbers' : 'NOT checked against the numbers';
  return `Answers by ${languageModel ?? 'a language model'} ${how}, ${check}.`;
}

const LONGEST_QUOTE = 160;

/** "one sentence", "2 sentences" */
function sentences(count: number): string {
  return count === 1 ? 'one sentence' : `${count} sentences`;
}

/** On one line, and no longer than a line or two: the answer's JSON holds the whole. */
function short(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= LONGEST_QUOTE ? line : `${line.slice(0, LONGEST_QUOTE)}...`;
}

/** What the check changed or could not settle, a line each; none where the answer holds as it was first said. */
export function describeCheck({ replaced, rounds, claims, omitted }: Answer): string[] {
  const lines: string[] = [];
  if (replaced.length > 0) {
    const verb = replaced.length === 1 ? 'was' : 'were';
    lines.push(`checked: ${sentences(replaced.length)} did not agree with the numbers and ${verb} replaced`);
    for (const { was, reason } of replaced) lines.push(`  was: "${short(was)}" (${reason})`);
  } else if (rounds.length > 1) {
    lines.push(`checked: answered again, in round ${rounds.length}, after the numbers were stated`);
  }
  for (const { status, text, reason } of claims) {
    if (status === 'contradicted') lines.push(`contradicted: "${short(text)}" (${reason})`);
    if (status === 'not checkable') lines.push(`not checkable: "${short(text)}"`);
  }
  if (omitted.length > 0) lines.push(`left out: ${regionList(omitted)}`);
  return lines;
}

function number(value: Claim['evidence'][string]): string {
  if (typeof value === 'number') return String(Number(value.toFixed(4)));
  return Array.isArray(value) ? value.join(', ') || 'none' : String(value);
}

/** The numbers that a claim was compared with: "score 0.9712, threshold 0.74". */
export function describeNumbers({ evidence }: Claim): string {
  return Object.entries(evidence)
    .map(([name, value]) => `${name} ${number(value)}`)
    .join(', ');
}

/** A claim in two lines: what is claimed with its status, and why that is so with the numbers. */
export function describeClaim(claim: Claim): string[] {
  const numbers = describeNumbers(claim);
  return [
    `${claim.status.padEnd(13)}  ${claim.kind.padEnd(10)}  "${short(claim.text)}"`,
    `  ${claim.reason}${numbers === '' ? '' : ` (${numbers})`}`,
  ];
}
