import type { Token } from './tokens.js';

/** A number of a text: one value, or from-to. */
export interface Quantity {
  low: number;
  high: number;
  /** "%" or "percent" stands after it. */
  percent: boolean;
  /** Written with a decimal point: 0.91 means 91 %. */
  decimal: boolean;
}

interface Read {
  value: number;
  decimal: boolean;
  /** Index after the last token read. */
  next: number;
}

const SMALL =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  );
const TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');
const SMALL_NUMBERS: ReadonlyMap<string, number> = new Map(SMALL.map((word, index) => [word, index]));
const TENS_NUMBERS: ReadonlyMap<string, number> = new Map(
  TENS.map((word, index) => [word, 10 * (index + 2)]),
);
const PERCENT = new Set(['%', 'percent', 'pct', '％']);
const DASHES = new Set(['-', '–', '—', 'to', 'through', '~']);

/** "ninety one", "a hundred": the value and where it ends. */
function readWords(tokens: readonly Token[], index: number): Read | undefined {
  const word = tokens[index]?.text ?? '';
  const following = tokens[index + 1]?.text ?? '';
  if ((word === 'one' || word === 'a') && following === 'hundred')
    return { value: 100, decimal: false, next: index + 2 };
  const tens = TENS_NUMBERS.get(word);
  if (tens !== undefined) {
    const unit = SMALL_NUMBERS.get(tokens[index + 1]?.text ?? '');
    if (unit !== undefined && unit > 0 && unit < 10)
      return { value: tens + unit, decimal: false, next: index + 2 };
    return { value: tens, decimal: false, next: index + 1 };
  }
  const small = SMALL_NUMBERS.get(word);
  return small === undefined ? undefined : { value: small, decimal: false, next: index + 1 };
}

function readOne(tokens: readonly Token[], index: number): Read | undefined {
  const token = tokens[index];
  if (token?.kind === 'word') return readWords(tokens, index);
  if (token?.kind !== 'number') return undefined;
  const value = Number(token.text);
  if (!Number.isFinite(value)) return undefined;
  return { value, decimal: token.text.includes('.'), next: index + 1 };
}

/** The index after a percent sign or word, or `index` where there is none. */
function afterPercent(tokens: readonly Token[], index: number): number {
  const word = tokens[index]?.text ?? '';
  if (PERCENT.has(word)) return index + 1;
  return word === 'per' && tokens[index + 1]?.text === 'cent' ? index + 2 : index;
}

/**
 * A number that starts at a token, as percent: "91%", "0.91", "ninety-one percent", "90-95%", "9 out of 10", and after
 * "between" or "from" also "90 and 95%".
 *
 * @returns the quantity and the index after it; undefined where no number starts
 */
export function readQuantity(
  tokens: readonly Token[],
  index: number,
  afterBetween: boolean,
): { quantity: Quantity; next: number } | undefined {
  const first = readOne(tokens, index);
  if (!first) return undefined;
  let next = afterPercent(tokens, first.next);
  let percent = next > first.next;
  const outOf = readRatio(tokens, next, first.value);
  if (outOf)
    return {
      quantity: { low: outOf.value, high: outOf.value, percent: true, decimal: false },
      next: outOf.next,
    };
  let last = first;
  const joint = tokens[next]?.text ?? '';
  if (DASHES.has(joint) || (afterBetween && joint === 'and')) {
    const second = readOne(tokens, next + 1);
    if (second && second.value >= first.value && second.decimal === first.decimal) {
      last = second;
      next = afterPercent(tokens, second.next);
      percent ||= next > second.next;
    }
  }
  const scale = !percent && first.decimal && last.value <= 1 ? 100 : 1;
  const quantity = { low: scale * first.value, high: scale * last.value, percent, decimal: first.decimal };
  return { quantity, next };
}

/** "9 out of 10", "91/100". */
function readRatio(tokens: readonly Token[], index: number, value: number): Read | undefined {
  const [a, b] = [tokens[index]?.text, tokens[index + 1]?.text];
  const start = a === '/' ? index + 1 : a === 'out' && b === 'of' ? index + 2 : -1;
  const whole = start < 0 ? undefined : readOne(tokens, start);
  if (!whole || (whole.value !== 10 && whole.value !== 100) || value > whole.value) return undefined;
  return { value: (100 * value) / whole.value, decimal: false, next: afterPercent(tokens, whole.next) };
}
