/** A word, a numeral, a punctuation mark, a line break or a file name of a text. */
export interface Token {
  /** Lower case, typographic apostrophes made plain. */
  text: string;
  kind: 'word' | 'number' | 'mark' | 'line' | 'file';
  /** Offsets in the text, UTF-16 units, end exclusive. */
  start: number;
  end: number;
}

/** Hyphens and underscores separate words ("AI-generated", "nose_ridge"). Every alternative is linear. */
const PATTERN = /[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*|(?<![\p{L}\d])\.\d+|\d+(?:\.\d+)?|\n|['’]s\b|\S/gu;
const FILE_SUFFIXES = new Set([
  'jpg',
  'jpeg',
  'png',
  'webp',
  'gif',
  'bmp',
  'tif',
  'tiff',
  'heic',
  'avif',
  'mp4',
]);
/** So many tokens before the suffix belong to a file name at most. */
const LONGEST_FILE_NAME = 40;

function kindOf(text: string): Token['kind'] {
  if (text === '\n') return 'line';
  if (/^\.?\d/.test(text)) return 'number';
  return /^[\p{L}\p{M}]/u.test(text) ? 'word' : 'mark';
}

/** "It's" is two tokens, so that the verb is seen; "isn't" is one, a negation. */
function splitContraction(token: Token): Token[] {
  const match = /^(.+)('(?:s|re|m|ve|ll|d))$/.exec(token.text);
  const [, head, tail] = match ?? [];
  if (head === undefined || tail === undefined) return [token];
  const middle = token.start + head.length;
  return [
    { ...token, text: head, end: middle },
    { ...token, text: tail, start: middle },
  ];
}

/** Joins "holiday_real.jpg" to one token: what a file is called says nothing about the picture. */
function joinFileName(tokens: Token[], suffix: Token): Token | undefined {
  const dot = tokens.at(-1);
  if (dot?.text !== '.' || dot.end !== suffix.start) return undefined;
  let first = dot;
  for (let count = 0; count < LONGEST_FILE_NAME; count += 1) {
    const before = tokens.at(-2 - count);
    if (before?.end !== first.start || /["'“”‘’(<[]/.test(before.text)) break;
    first = before;
  }
  if (first === dot) return undefined;
  while (tokens.at(-1) !== first) tokens.pop();
  tokens.pop();
  return { text: '', kind: 'file', start: first.start, end: suffix.end };
}

/** The tokens of a text, in order. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (const match of text.matchAll(PATTERN)) {
    const start = match.index;
    const end = start + match[0].length;
    const lower = match[0].toLowerCase().replaceAll('’', "'");
    // A few letters change their length in lower case; offsets come from the text itself.
    const token: Token = { text: lower, kind: kindOf(match[0]), start, end };
    if (token.kind !== 'word') {
      tokens.push(token);
      continue;
    }
    const file = FILE_SUFFIXES.has(lower) ? joinFileName(tokens, token) : undefined;
    if (file) tokens.push(file);
    else tokens.push(...splitContraction(token));
  }
  return tokens;
}
