import path from 'node:path';
import { writeFileAtomically } from '../data/writeFileAtomically.js';
import type { ImageRow } from './imageRow.js';
import { METHODS } from './methods.js';
import type { Metric } from './metrics.js';
import type { Summary } from './summary.js';

/** Everything that decides what the rows hold: rows made under other settings are never mixed. */
export interface EvaluationSettings {
  folder: string;
  target: string;
  methods: readonly string[];
  metrics: readonly string[];
  faces: 'largest' | 'whole';
  steps: number;
  seed: number;
  /** Names of the images. */
  images: readonly string[];
  groups: string | null;
  masks: string | null;
  model: { name: string; sha256: string | null; device: string };
}

/** Schema `kfd.daam-eval/1`. */
export interface EvaluationDocument {
  schema: 'kfd.daam-eval/1';
  settings: Omit<EvaluationSettings, 'images'>;
  summary: Summary;
  rows: readonly ImageRow[];
}

function quote(cell: string): string {
  return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** One line an image and method; an empty cell where a figure is not defined. */
export function csvOf(rows: readonly ImageRow[], metrics: readonly Metric[]): string {
  const heading = [
    'image',
    'group',
    'status',
    'score',
    'decision',
    'class',
    'mask_share',
    'method',
    ...metrics,
  ];
  const lines = rows.flatMap((row) => {
    const { image, group, status, score, decision, class: index, mask_share: share } = row;
    const start = [image, group, status, score, decision, index, share].map((cell) => String(cell ?? ''));
    const methods = METHODS.filter((method) => row.methods[method] !== undefined);
    if (methods.length === 0) return [[...start, '', ...metrics.map(() => '')]];
    return methods.map((method) => [
      ...start,
      method,
      ...metrics.map((metric) => String(row.methods[method]?.[metric] ?? '')),
    ]);
  });
  return [heading, ...lines].map((cells) => cells.map(quote).join(',')).join('\n') + '\n';
}

/**
 * Writes the document, and with `metrics` also its rows as CSV beside it.
 *
 * @throws KfdError ERR_KFD_FILE_WRITE
 */
export async function writeResult(
  out: string,
  document: EvaluationDocument,
  metrics: readonly Metric[] | undefined,
): Promise<void> {
  await writeFileAtomically(out, `${JSON.stringify(document)}\n`);
  if (metrics === undefined) return;
  const { dir, name } = path.parse(out);
  await writeFileAtomically(path.join(dir, `${name}.csv`), csvOf(document.rows, metrics));
}
