import { once } from 'node:events';
import type { KfdError } from '../errors.js';
import { environmentConfig } from '../native/config.js';
import { clearStatusLine } from './statusLine.js';

/**
 * Results go to stdout and nothing else does; messages, warnings, errors and progress go to stderr. So
 * `kfd-native detect --jsonl ... | jq` always works.
 */

const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof STYLES;

/** NO_COLOR wins over FORCE_COLOR, both win over what the stream is. */
function hasColor(stream: NodeJS.WriteStream): boolean {
  const { noColor, forceColor } = environmentConfig();
  return !noColor && (forceColor || stream.isTTY);
}

/** Colours a text for stdout, or for stderr with `stream`. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  const [on, off] = STYLES[style];
  return hasColor(stream) ? `\u001b[${on}m${text}\u001b[${off}m` : text;
}

/** Control characters, and marks that turn the direction of writing: a file name with them could rewrite the screen. */
const UNPRINTABLE = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Text from outside (a file name, a question, a language model) as it may go to a terminal: `\x1b` for an escape. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0);
    const hex = code.toString(16);
    return code < 256 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`;
  });
}

/** The same for text that may have several lines. */
export function printableLines(text: string): string {
  return text.split(/\r?\n/).map(printable).join('\n');
}

/** Writes one line of results; resolves when the reader keeps up, so that streams stay flat in memory. */
export async function writeResult(line: string): Promise<void> {
  if (process.stdout.destroyed) return; // the reader has gone; interrupt.ts is stopping the command
  clearStatusLine(process.stdout);
  if (!process.stdout.write(`${line}\n`)) {
    await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]);
  }
}

/** A part of a line while it comes into being, on a terminal. */
export function writePart(text: string): void {
  if (!process.stdout.destroyed) process.stdout.write(text);
}

/** One JSON document; `pretty` for people and single documents, otherwise one line (JSON lines). */
export function writeJson(value: unknown, pretty = false): Promise<void> {
  return writeResult(JSON.stringify(value, null, pretty ? 2 : undefined));
}

/** A line for people, on stderr. */
export function writeMessage(line: string): void {
  clearStatusLine(process.stderr);
  process.stderr.write(`${line}\n`);
}

export function writeWarning(line: string): void {
  writeMessage(`${paint('yellow', 'warning:', process.stderr)} ${line}`);
}

/** One line for an input that gave no result; the command goes on. */
export function writeFailure(message: string): void {
  const line = printable(message.replace(/\s*\n\s*/g, ' '));
  writeMessage(`${paint('red', 'failed:', process.stderr)} ${line}`);
}

/** `error: ...` and `hint: ...` on stderr; with `json` also an object of schema `kfd.error/1` on stdout. */
export async function writeError(error: KfdError, json: boolean): Promise<void> {
  writeMessage(`${paint('red', 'error:', process.stderr)} ${printableLines(error.message)}`);
  if (error.hint !== undefined)
    writeMessage(`${paint('cyan', 'hint:', process.stderr)} ${printableLines(error.hint)}`);
  if (json) await writeJson({ schema: 'kfd.error/1', error: error.toJSON() });
}

/** Columns of equal width, two blanks between; the last column is not padded. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  }
  return rows
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
