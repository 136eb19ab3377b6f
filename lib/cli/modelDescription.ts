import type { ModelInfo } from '../native/types.js';
import type { ExplainerManifest, ModelManifest } from '../setup/models.js';

export interface ModelDescription {
  /** kfd.model-info/1 */
  json: Record<string, unknown>;
  /** The same in two columns for people. */
  rows: string[][];
}

/** Nested values as lines: `auc.self-blend  0.83`; long lists are counted and not shown. */
function flatten(name: string, value: unknown): string[][] {
  if (Array.isArray(value)) {
    const short = value.length <= 6 && value.every((item) => typeof item !== 'object');
    return [[name, short ? value.join(', ') : `${value.length} values`]];
  }
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, item]) => flatten(`${name}.${key}`, item));
  }
  return [[name, String(value)]];
}

/** What is there for its kind only. */
function kindRows(manifest: ModelManifest | ExplainerManifest): string[][] {
  if (manifest.kind === 'explainer') return flatten('explainer', manifest.explainer);
  const { input, vit, kfd } = manifest;
  return [
    ['input', `${input.width}x${input.height} ${input.fit}`],
    ...(vit === undefined ? [] : [['taps', vit.taps.join(', ')]]),
    ...(kfd === undefined ? [] : [['threshold', String(kfd.threshold)]]),
  ];
}

function manifestRows(manifest: ModelManifest | ExplainerManifest): string[][] {
  return [
    ['name', manifest.name],
    ['kind', manifest.kind],
    ['maturity', manifest.maturity ?? 'not stated'],
    ['licence', manifest.licence],
    ['source', manifest.source],
    ['file', manifest.modelPath],
    ['bytes', String(manifest.bytes)],
    ['sha256', manifest.sha256],
    ...kindRows(manifest),
    ...flatten('training', manifest.training),
    ...flatten('metrics', manifest.metrics),
  ];
}

/** Blocks and patches of a transformer; a module of another kind has none. */
function shapeRows(info: ModelInfo): string[][] {
  if (info.depth === 0) return [];
  const { depth, width, heads, gridWidth, gridHeight, features, verificationError } = info;
  return [
    ['shape', `${depth} blocks, width ${width}, ${heads} heads, ${gridWidth}x${gridHeight} patches`],
    ['features', features.length === 0 ? 'none' : features.join(', ')],
    ['verification error', verificationError.toExponential(1)],
  ];
}

function engineRows(info: ModelInfo): string[][] {
  const warnings = info.warnings.map((warning) => ['warning', warning]);
  return [['execution', info.execution], ...shapeRows(info), ...warnings];
}

/** What `model info` shows; `info` is what the engine found when it loaded the model. */
export function describeModel(
  manifest: ModelManifest | ExplainerManifest,
  info: ModelInfo | undefined,
): ModelDescription {
  return {
    json: { schema: 'kfd.model-info/1', manifest, engine: info ?? null },
    rows: [...manifestRows(manifest), ...(info === undefined ? [] : engineRows(info))],
  };
}
