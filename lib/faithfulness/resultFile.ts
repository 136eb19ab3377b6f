import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomically } from '../data/writeFileAtomically.js';
import { KfdError } from '../errors.js';
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

/** Rows that are there already while an evaluation runs: OUT.partial.jsonl, settings first, then one row a line. */
export class PartialRows {
  private constructor(
    private readonly file: string,
    readonly rows: readonly ImageRow[],
  ) {}

  /**
   * Takes up what an interrupted run with the same settings left, else begins anew.
   *
   * @param out the result file
   * @throws KfdError ERR_KFD_FILE_WRITE
   */
  static async open(out: string, settings: EvaluationSettings): Promise<PartialRows> {
    const file = `${out}.partial.jsonl`;
    const heading = JSON.stringify(settings);
    const lines = await readFile(file, 'utf8').then(
      (text) => text.split('\n').slice(0, -1), // the last line may be half a row
      () => [],
    );
    const rows = lines[0] === heading ? lines.slice(1).map((line) => JSON.parse(line) as ImageRow) : [];
    await writeFileAtomically(file, [heading, ...rows.map((row) => JSON.stringify(row))].join('\n') + '\n');
    return new PartialRows(file, rows);
  }

  /** @throws KfdError ERR_KFD_FILE_WRITE */
  async add(row: ImageRow): Promise<void> {
    try {
      await mkdir(path.dirname(this.file), { recursive: true });
      await appendFile(this.file, `${JSON.stringify(row)}\n`);
    } catch (cause) {
      throw new KfdError(
        'ERR_KFD_FILE_WRITE',
        `${this.file} cannot be written: ${(cause as Error).message}`,
        {
          hint: 'Check that the folder is writable and has space left.',
          cause,
        },
      );
    }
  }

  /** The result is written: these rows are no longer needed. */
  async discard(): Promise<void> {
    await rm(this.file, { force: true });
  }
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
