import { KfdError } from '../errors.js';

/**
 * The manifest of a model file, `NAME.kfd.json` beside `NAME.pt` (design section 5). It is data only: nothing in it is
 * executed, and `file` can name nothing outside the manifest's own folder.
 */

export const MODEL_SCHEMA = 'kfd.model/1';
export const MANIFEST_SUFFIX = '.kfd.json';

const KINDS = ['kfd', 'vit', 'face'] as const;
const FITS = ['stretch', 'crop', 'letterbox'] as const;
const MATURITIES = ['demonstration', 'research', 'recommended'] as const;

/** kfd = forgery detector, vit = vision transformer, face = face detector */
export type ManifestKind = (typeof KINDS)[number];
/** What a model is good for; shown with every verdict. */
export type Maturity = (typeof MATURITIES)[number];
export type ManifestPoint = readonly [x: number, y: number];

export interface ManifestInput {
  width: number;
  height: number;
  fit: (typeof FITS)[number];
  /** value = (byte / 255 - mean) / std, a channel each, RGB order */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
}

export interface ManifestVit {
  heads: number;
  patch: number;
  prefixTokens: number;
  layerNormEps: number;
  activation: 'gelu' | 'gelu_tanh' | 'quick_gelu';
  taps: readonly number[];
}

export interface ManifestKfd {
  labels: readonly string[];
  /** A face whose score (probability of fake) is at or above this is called fake. */
  threshold: number;
  logitScale: number;
  /** Forgery prompt tokens of the prompt learner; 0 when none is shipped. */
  promptTokens: number;
  llmWidth: number;
}

/**
 * With kind `kfd`: how a face is brought into the canonical crop (`alignment`, `points`, `template`, `regions`). With
 * kind `face`: how the outputs are decoded (`anchors` ...). What is not typed here is in `raw`.
 */
export interface ManifestFace {
  alignment?: string;
  points?: readonly string[];
  /** Where the points lie in the crop, in pixels. */
  template?: readonly ManifestPoint[];
  /** Polygons in crop pixels, by name. */
  regions?: Readonly<Record<string, readonly ManifestPoint[]>>;
  scoreThreshold?: number;
  iouThreshold?: number;
  anchors?: unknown;
  raw: Readonly<Record<string, unknown>>;
}

export interface ModelManifest {
  schema: typeof MODEL_SCHEMA;
  name: string;
  kind: ManifestKind;
  file: string;
  bytes: number;
  sha256: string;
  licence: string;
  source: string;
  input: ManifestInput;
  vit?: ManifestVit;
  kfd?: ManifestKfd;
  face?: ManifestFace;
  /** Always present with kind `kfd`. */
  maturity?: Maturity;
  training: Readonly<Record<string, unknown>>;
  metrics: Readonly<Record<string, unknown>>;
  /** Absolute paths of the manifest and of the model file that it describes. */
  manifestPath: string;
  modelPath: string;
}

export type ManifestContent = Omit<ModelManifest, 'manifestPath' | 'modelPath'>;

/** How a value is shown in an error: short, and never more than a line. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Reads the fields of one JSON object and names the field, what was expected and what came when one is wrong. */
class Fields {
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

  object(name: string): Fields {
    return new Fields(this.values[name], this.source, `${this.prefix}${name}.`);
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

function parseInput(fields: Fields): ManifestInput {
  const size = {
    width: fields.integer('width', 1, 16384),
    height: fields.integer('height', 1, 16384),
    fit: fields.oneOf('fit', FITS),
  };
  if (!fields.has('range')) return { ...size, mean: fields.triple('mean'), std: fields.triple('std') };
  // range [low, high]: byte 0 becomes low and byte 255 high, on every channel
  const [low, high] = fields.range('range');
  const mean = -low / (high - low);
  const std = 1 / (high - low);
  return { ...size, mean: [mean, mean, mean], std: [std, std, std] };
}

function parseVit(fields: Fields): ManifestVit {
  return {
    heads: fields.integer('heads', 1, 1024),
    patch: fields.integer('patch', 1, 1024),
    prefixTokens: fields.integer('prefixTokens', 0, 1024),
    layerNormEps: fields.number('layerNormEps', 0, 1),
    activation: fields.oneOf('activation', ['gelu', 'gelu_tanh', 'quick_gelu']),
    taps: fields.has('taps') ? fields.numbers('taps', 'a list of block indices') : [],
  };
}

function parseKfd(fields: Fields): ManifestKfd {
  return {
    labels: fields.texts('labels'),
    threshold: fields.number('threshold', 0, 1),
    logitScale: fields.number('logitScale', 0, 1e6),
    promptTokens: fields.has('promptTokens') ? fields.integer('promptTokens', 0) : 0,
    llmWidth: fields.has('llmWidth') ? fields.integer('llmWidth', 0) : 0,
  };
}

function parseFace(fields: Fields): ManifestFace {
  const face: ManifestFace = { raw: fields.all() };
  if (fields.has('alignment')) face.alignment = fields.text('alignment');
  if (fields.has('points')) face.points = fields.texts('points');
  if (fields.has('template')) face.template = fields.points('template', 2);
  if (fields.has('regions')) {
    const regions = fields.object('regions');
    face.regions = Object.fromEntries(
      Object.keys(regions.all()).map((name) => [name, regions.points(name, 3)]),
    );
  }
  if (fields.has('scoreThreshold')) face.scoreThreshold = fields.number('scoreThreshold', 0, 1);
  if (fields.has('iouThreshold')) face.iouThreshold = fields.number('iouThreshold', 0, 1);
  if (fields.has('anchors')) face.anchors = fields.all()['anchors'];
  return face;
}

/**
 * Checks parsed JSON against the schema `kfd.model/1`.
 * @param source how the manifest is called in errors (its path)
 * @throws KfdError ERR_KFD_MODEL_MANIFEST naming the field, what was expected and what came
 */
export function parseManifest(json: unknown, source: string): ManifestContent {
  const fields = new Fields(json, source);
  const schema = fields.oneOf('schema', [MODEL_SCHEMA]);
  const kind = fields.oneOf('kind', KINDS);
  const manifest: ManifestContent = {
    schema,
    kind,
    name: fields.text('name'),
    file: fields.match('file', /^[^/\\\0]+$/, 'a file name without a folder'),
    bytes: fields.integer('bytes', 1),
    sha256: fields.match('sha256', /^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits'),
    licence: fields.text('licence'),
    source: fields.text('source'),
    input: parseInput(fields.object('input')),
    training: fields.has('training') ? fields.object('training').all() : {},
    metrics: fields.has('metrics') ? fields.object('metrics').all() : {},
  };
  if (kind === 'kfd' || fields.has('vit')) manifest.vit = parseVit(fields.object('vit'));
  if (kind === 'kfd' || fields.has('kfd')) manifest.kfd = parseKfd(fields.object('kfd'));
  if (kind === 'face' || fields.has('face')) manifest.face = parseFace(fields.object('face'));
  if (kind === 'kfd' || fields.has('maturity')) manifest.maturity = fields.oneOf('maturity', MATURITIES);
  return manifest;
}
