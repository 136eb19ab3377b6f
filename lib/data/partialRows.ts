import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { writeFileAtomically } from './writeFileAtomically.js';

/** Rows that are there already while an evaluation runs: OUT.partial.jsonl, settings first, then one row a line. */
export class PartialRows<Row> {
  private constructor(
    private readonly file: string,
    readonly rows: readonly Row[],
  ) {}

  /**
   * Takes up what an interrupted run with the same settings left, else begins anew.
   *
   * @param out the result file
   * @param settings everything that decides what the rows hold: rows made under other settings are never mixed
   * @throws KfdError ERR_KFD_FILE_WRITE
   */
  static async open<Row>(out: string, settings: object): Promise<PartialRows<Row>> {
    const file = `${out}.partial.jsonl`;
    const heading = JSON.stringify(settings);
    const lines = await readFile(file, 'utf8').then(
      (text) => text.split('\n').slice(0, -1), // the last line may be half a row
      () => [],
    );
    const rows = lines[0] === heading ? lines.slice(1).map((line) => JSON.parse(line) as Row) : [];
    await writeFileAtomically(file, [heading, ...rows.map((row) => JSON.stringify(row))].join('\n') + '\n');
    return new PartialRows(file, rows);
  }

  /** @throws KfdError ERR_KFD_FILE_WRITE */
  async add(row: Row): Promise<void> {
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
