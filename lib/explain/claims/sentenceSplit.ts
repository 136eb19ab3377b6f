import { tokenize, type Token } from './tokens.js';

/** One sentence of a text. Offsets run from its first to its last token, end exclusive. */
export interface Sentence {
  tokens: readonly Token[];
  start: number;
  end: number;
  /** It ends with a question mark. */
  question: boolean;
}

const ABBREVIATIONS = new Set(
  'approx ca cf dr e.g eg etc fig g i i.e ie max min mr mrs ms no nr p resp st vs'.split(' '),
);
const BULLETS = new Set(['-', '*', '•', '–', '·']);
const CLOSING = new Set(['"', "'", '”', '’', ')', ']', '*', '»']);

/** Whether the full stop at `index` ends a sentence: not after an abbreviation or the number of a list item. */
function stopEnds(text: string, tokens: readonly Token[], index: number, first: number): boolean {
  const [before, stop, after] = [tokens[index - 1], tokens[index], tokens[index + 1]];
  if (!stop || !after) return true;
  const glued = before?.end === stop.start;
  if (before && glued && index - first === 1 && before.kind === 'number') return false;
  if (after.start === stop.end && after.kind !== 'line') {
    if (CLOSING.has(after.text)) return true;
    return (
      after.kind === 'word' && /\p{Lu}/u.test(text.charAt(after.start)) && (before?.text.length ?? 0) > 1
    );
  }
  if (before && glued && ABBREVIATIONS.has(before.text)) {
    // "approx. 90%" goes on; "the answer is no. The nose ..." does not.
    return after.kind !== 'number' && /\p{Lu}/u.test(text.charAt(after.start));
  }
  return true;
}

/** Whether a line break ends a sentence: not inside a wrapped sentence, and not in a list after a colon. */
function lineEnds(text: string, tokens: readonly Token[], index: number, list: boolean): boolean {
  const after = tokens[index + 1];
  if (!after || after.kind === 'line') return true;
  if (BULLETS.has(after.text) || (after.kind === 'number' && tokens[index + 2]?.text === '.')) return !list;
  return !/\p{Ll}/u.test(text.charAt(after.start));
}

/** The sentences of a text. Abbreviations, decimals, wrapped lines and lists after a colon stay together. */
export function splitSentences(text: string): Sentence[] {
  const tokens = tokenize(text);
  const sentences: Sentence[] = [];
  let current: Token[] = [];
  let first = 0;
  let list = false;
  const finish = (next: number): void => {
    const [start, end] = [current[0]?.start, current.at(-1)?.end];
    const question = current.slice(-3).some((token) => token.text === '?');
    if (start !== undefined && end !== undefined && current.some(({ kind }) => kind !== 'mark'))
      sentences.push({ tokens: current, start, end, question });
    [current, first, list] = [[], next, false];
  };
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (!token) break;
    if (token.kind === 'line') {
      list ||= current.at(-1)?.text === ':';
      if (lineEnds(text, tokens, index, list)) finish(index + 1);
      else if (current.length > 0 && list)
        current.push({ ...token, text: ',', kind: 'mark', end: token.start });
      continue;
    }
    current.push(token);
    if (!/^[.!?…]$/.test(token.text) || (token.text === '.' && !stopEnds(text, tokens, index, first)))
      continue;
    while (/^[.!?…]$/.test(tokens[index + 1]?.text ?? '') || CLOSING.has(gluedText(tokens, index))) {
      index += 1;
      const closing = tokens[index];
      if (closing) current.push(closing);
    }
    finish(index + 1);
  }
  finish(tokens.length);
  return sentences;
}

/** The text of the next token where nothing stands between. */
function gluedText(tokens: readonly Token[], index: number): string {
  const [token, next] = [tokens[index], tokens[index + 1]];
  return token && next?.start === token.end ? next.text : '';
}
