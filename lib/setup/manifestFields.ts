import { KfdError } from '../errors.js';

/** A point of a face, in pixels of the crop. */
export type ManifestPoint = readonly [x: number, y: number];

/** How a value is shown in an error: short, and never more than a line. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Reads the fields of one JSON object and names the field, what was expected and what came when one is wrong. */
export class ManifestFields {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(
    value: unknown,
    private readonly source: string,
    private readonly prefix = '',
  ) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.wrong('', 'an object', value);
    }
    this.values = value as Record<string, unknown>;
  }

  private wrong(name: string, expected: string, received: unknown): KfdError {
    const field = `${this.prefix}${name}`.replace(/\.$/, '');
    const where = field === '' ? 'as a whole' : `field "${field}"`;
    return new KfdError(
      'ERR_KFD_MODEL_MANIFEST',
      `${this.source}: ${where}: expected ${expected}, received ${show(received)}`,
      { hint: 'docs/setup.md lists the fields of a manifest; `kfd-native model manifest FILE` writes one.' },
    );
  }

  has(name: string): boolean {
    return this.values[name] !== undefined;
  }

  all(): Readonly<Record<string, unknown>> {
    return this.values;
  }

  object(name: string): ManifestFields {
    return new ManifestFields(this.values[name], this.source, `${this.prefix}${name}.`);
  }

  text(name: string): string {
    const value = this.values[name];
    if (typeof value !== 'string' || value === '') throw this.wrong(name, 'a text that is not empty', value);
    return value;
  }

  match(name: string, pattern: RegExp, expected: string): string {
    const value = this.values[name];
    if (typeof value !== 'string' || !pattern.test(value)) throw this.wrong(name, expected, value);
    return value;
  }

  /** A file in the manifest's own folder. */
  fileName(name: string): string {
    return this.match(name, /^[^/\\\0]+$/, 'a file name without a folder');
  }

  sha256(name: string): string {
    return this.match(name, /^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits');
  }

  oneOf<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.values[name];
    const found = choices.find((choice) => choice === value);
    if (found === undefined)
      throw this.wrong(name, `one of ${choices.map((c) => `"${c}"`).join(', ')}`, value);
    return found;
  }

  number(name: string, minimum: number, maximum: number, integer = false): number {
    const value = this.values[name];
    const fits =
      typeof value === 'number' &&
      value >= minimum &&
      value <= maximum &&
      (!integer || Number.isSafeInteger(value));
    if (!fits) {
      const kind = integer ? 'an integer' : 'a number';
      const range = maximum === Infinity ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
      throw this.wrong(name, `${kind} ${range}`, value);
    }
    return value;
  }

  integer(name: string, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
    return this.number(name, minimum, maximum === Number.MAX_SAFE_INTEGER ? Infinity : maximum, true);
  }

  triple(name: string): [number, number, number] {
    const value = this.numbers(name, 'three numbers', 3);
    return [value[0] ?? 0, value[1] ?? 0, value[2] ?? 0];
  }

  numbers(name: string, expected: string, length?: number): number[] {
    const value = this.values[name];
    const fits =
      Array.isArray(value) &&
      value.every((item) => typeof item === 'number' && Number.isFinite(item)) &&
      (length === undefined || value.length === length);
    if (!fits) throw this.wrong(name, expected, value);
    return value as number[];
  }

  /** Distinct integers of at least 0. */
  distinctIntegers(name: string, length: number): number[] {
    const expected = `${length} distinct integers of at least 0`;
    const values = this.numbers(name, expected, length);
    const fit = values.every((value) => Number.isSafeInteger(value) && value >= 0);
    if (!fit || new Set(values).size !== length) throw this.wrong(name, expected, this.values[name]);
    return values;
  }

  range(name: string): [low: number, high: number] {
    const expected = 'two rising numbers [low, high]';
    const [low = 0, high = 0] = this.numbers(name, expected, 2);
    if (low >= high) throw this.wrong(name, expected, this.values[name]);
    return [low, high];
  }

  texts(name: string): string[] {
    const value = this.values[name];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw this.wrong(name, 'a list of texts', value);
    }
    return value;
  }

  points(name: string, minimum: number): ManifestPoint[] {
    const value = this.values[name];
    const isPoint = (item: unknown): boolean =>
      Array.isArray(item) &&
      item.length === 2 &&
      item.every((n) => typeof n === 'number' && Number.isFinite(n));
    if (!Array.isArray(value) || value.length < minimum || !value.every(isPoint)) {
      throw this.wrong(name, `a list of at least ${minimum} points [x, y]`, value);
    }
    return value as ManifestPoint[];
  }
}
