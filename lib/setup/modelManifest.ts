import { KfdError } from '../errors.js';
import { ManifestFields, type ManifestPoint } from './manifestFields.js';

export type { ManifestPoint } from './manifestFields.js';

/**
 * The manifest of a model file, `NAME.kfd.json` beside `NAME.pt` (design section 5). It is data only: nothing in it is
 * executed, and `file` can name nothing outside the manifest's own folder.
 */

export const MODEL_SCHEMA = 'kfd.model/1';
export const MANIFEST_SUFFIX = '.kfd.json';

const KINDS = ['kfd', 'vit', 'face', 'explainer'] as const;
const FITS = ['stretch', 'crop', 'letterbox'] as const;
export const MATURITIES = ['demonstration', 'research', 'recommended'] as const;

/** kfd = forgery detector, vit = vision transformer, face = face detector; all of them take a picture. */
export type ManifestKind = Exclude<(typeof KINDS)[number], 'explainer'>;
/** What a model is good for; shown with every verdict. */
export type Maturity = (typeof MATURITIES)[number];

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

/** When a region of the map is named (docs/regions.md); all are shares, 0 to 1. */
export interface ManifestNaming {
  lit: number;
  minimum: number;
  whole: number;
  center: number;
  part: number;
  explained: number;
}

/**
 * With kind `kfd`: how a face is brought into the canonical crop (`alignment`, `points`, `template`, `regions`, `naming`). With
 * kind `face`: how the outputs are decoded (`anchors` ...). What is not typed here is in `raw`.
 */
export interface ManifestFace {
  alignment?: string;
  points?: readonly string[];
  /** Where the points lie in the crop, in pixels. */
  template?: readonly ManifestPoint[];
  /** Polygons in crop pixels, by name. */
  regions?: Readonly<Record<string, readonly ManifestPoint[]>>;
  naming?: ManifestNaming;
  scoreThreshold?: number;
  iouThreshold?: number;
  anchors?: unknown;
  raw: Readonly<Record<string, unknown>>;
}

/** What every manifest says of its file. */
export interface ManifestFile {
  schema: typeof MODEL_SCHEMA;
  name: string;
  file: string;
  bytes: number;
  sha256: string;
  licence: string;
  source: string;
  training: Readonly<Record<string, unknown>>;
  metrics: Readonly<Record<string, unknown>>;
}

/** Absolute paths of the manifest and of the model file that it describes. */
export interface ManifestPaths {
  manifestPath: string;
  modelPath: string;
}

export interface ModelManifest extends ManifestFile, ManifestPaths {
  kind: ManifestKind;
  input: ManifestInput;
  vit?: ManifestVit;
  kfd?: ManifestKfd;
  face?: ManifestFace;
  /** Always present with kind `kfd`. */
  maturity?: Maturity;
}

export type ManifestContent = Omit<ModelManifest, 'manifestPath' | 'modelPath'>;

function parseInput(fields: ManifestFields): ManifestInput {
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

function parseVit(fields: ManifestFields): ManifestVit {
  return {
    heads: fields.integer('heads', 1, 1024),
    patch: fields.integer('patch', 1, 1024),
    prefixTokens: fields.integer('prefixTokens', 0, 1024),
    layerNormEps: fields.number('layerNormEps', 0, 1),
    activation: fields.oneOf('activation', ['gelu', 'gelu_tanh', 'quick_gelu']),
    taps: fields.has('taps') ? fields.numbers('taps', 'a list of block indices') : [],
  };
}

function parseKfd(fields: ManifestFields): ManifestKfd {
  return {
    labels: fields.texts('labels'),
    threshold: fields.number('threshold', 0, 1),
    logitScale: fields.number('logitScale', 0, 1e6),
    promptTokens: fields.has('promptTokens') ? fields.integer('promptTokens', 0) : 0,
    llmWidth: fields.has('llmWidth') ? fields.integer('llmWidth', 0) : 0,
  };
}

function parseNaming(fields: ManifestFields): ManifestNaming {
  const share = (name: string): number => fields.number(name, 0, 1);
  return {
    lit: share('lit'),
    minimum: share('minimum'),
    whole: share('whole'),
    center: share('center'),
    part: share('part'),
    explained: share('explained'),
  };
}

function parseFace(fields: ManifestFields): ManifestFace {
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
  if (fields.has('naming')) face.naming = parseNaming(fields.object('naming'));
  if (fields.has('scoreThreshold')) face.scoreThreshold = fields.number('scoreThreshold', 0, 1);
  if (fields.has('iouThreshold')) face.iouThreshold = fields.number('iouThreshold', 0, 1);
  if (fields.has('anchors')) face.anchors = fields.all()['anchors'];
  return face;
}

/** The kind of a manifest; everything else is unchecked yet. @throws KfdError ERR_KFD_MODEL_MANIFEST */
export function parseKind(fields: ManifestFields): (typeof KINDS)[number] {
  fields.oneOf('schema', [MODEL_SCHEMA]);
  return fields.oneOf('kind', KINDS);
}

/** @throws KfdError ERR_KFD_MODEL_MANIFEST */
export function parseFile(fields: ManifestFields): ManifestFile {
  return {
    schema: fields.oneOf('schema', [MODEL_SCHEMA]),
    name: fields.text('name'),
    file: fields.fileName('file'),
    bytes: fields.integer('bytes', 1),
    sha256: fields.sha256('sha256'),
    licence: fields.text('licence'),
    source: fields.text('source'),
    training: fields.has('training') ? fields.object('training').all() : {},
    metrics: fields.has('metrics') ? fields.object('metrics').all() : {},
  };
}

/**
 * Checks parsed JSON of a model that takes pictures against the schema `kfd.model/1`.
 * @param source how the manifest is called in errors (its path)
 * @throws KfdError ERR_KFD_MODEL_MANIFEST naming the field, what was expected and what came; ERR_KFD_MODEL_MISMATCH for
 *   an explainer
 */
export function parseManifest(json: unknown, source: string): ManifestContent {
  const fields = new ManifestFields(json, source);
  const kind = parseKind(fields);
  if (kind === 'explainer') {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `${source}: expected a model that takes pictures, received an explainer`,
      { hint: 'Give it as the explainer (option `explainer`), beside its detector.' },
    );
  }
  const manifest: ManifestContent = { ...parseFile(fields), kind, input: parseInput(fields.object('input')) };
  if (kind === 'kfd' || fields.has('vit')) manifest.vit = parseVit(fields.object('vit'));
  if (kind === 'kfd' || fields.has('kfd')) manifest.kfd = parseKfd(fields.object('kfd'));
  if (kind === 'face' || fields.has('face')) manifest.face = parseFace(fields.object('face'));
  if (kind === 'kfd' || fields.has('maturity')) manifest.maturity = fields.oneOf('maturity', MATURITIES);
  return manifest;
}
