import { createReadStream, createWriteStream } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { KfdError } from '../errors.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { Detection } from '../kfd/detection.js';
import { temporaryName } from '../setup/files.js';
import type { AttentionFlow } from '../daam/attentionFlow.js';
import type { Answer } from '../explain/answerDocument.js';
import { colorBar } from './colorMap.js';
import { dialogueSection } from './dialogueSection.js';
import { escapeHtml } from './escapeHtml.js';
import {
  colorBarHtml,
  figureHtml,
  PAGE_END,
  pageHead,
  namedRegionsSentence,
  regionTable,
  summaryRow,
  verdictSentence,
} from './html.js';
import { fileStem, writeFlowFiles } from './flowFiles.js';
import { facePictures, inlinePng, photographPictures, type Picture } from './pictures.js';

/** Inputs on one page: more would make it too large to open. */
const INPUTS_PER_PAGE = 100;

/** Marks a folder as one of ours, so that only such a folder is ever replaced. */
const INDEX_FILE = 'report.json';
const INDEX_SCHEMA = 'kfd.report/1';

export interface ReportOptions {
  title?: string | undefined;
  /** What the model was measured to be good for, a sentence each; see describeMeasurements. */
  notes?: readonly string[] | undefined;
}

export interface ReportEntry {
  /** What to call the input; default its path. */
  name?: string | undefined;
  /** What was really forged, white, in pixels of the photograph; shown beside the map. */
  trueMask?: RgbImage | undefined;
  /** What was asked about each face, in the order of `faces`. */
  dialogues?: readonly (readonly Answer[])[] | undefined;
}

/** A page under construction; the body of its articles waits in a file so that memory stays flat. */
interface Page {
  rows: string[];
  body: string;
}

const pageFile = (number: number) => (number === 1 ? 'report.html' : `report-${number}.html`);

async function isReplaceable(folder: string): Promise<boolean> {
  const entries = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  if (entries.length === 0) return true;
  const index = await readFile(path.join(folder, INDEX_FILE), 'utf8').catch(() => '');
  return index.includes(`"schema": "${INDEX_SCHEMA}"`);
}

/**
 * Writes a report folder: PNG pictures of every input and self-contained HTML pages (no script, no network). Everything
 * is built in a temporary folder beside the target and takes its place in one rename by `finish`, so a reader never sees
 * half a report. Inputs must have been detected with the option `pixels`.
 */
export class ReportWriter {
  private readonly pages: Page[] = [];
  /** Names of the files beside the pages, in the order of the inputs. */
  readonly files: string[] = [];
  private count = 0;
  private model: Detection['model'] | undefined;

  private constructor(
    private readonly target: string,
    private readonly folder: string,
    private readonly title: string,
    private readonly notes: readonly string[],
  ) {}

  /**
   * @param target the folder to write; it may exist if it is empty or holds an earlier report, which is replaced
   * @throws KfdError ERR_KFD_FILE_WRITE
   */
  static async create(target: string, options: ReportOptions = {}): Promise<ReportWriter> {
    const resolved = path.resolve(target);
    try {
      if (!(await isReplaceable(resolved))) {
        throw new KfdError('ERR_KFD_FILE_WRITE', `${resolved} is not empty and holds no report of ours.`, {
          hint: 'Give a new folder, or empty this one.',
        });
      }
      const folder = temporaryName(resolved);
      await mkdir(folder, { recursive: true });
      return new ReportWriter(resolved, folder, options.title ?? 'Face forgery report', options.notes ?? []);
    } catch (error) {
      throw writeError(resolved, error);
    }
  }

  /** Adds one input, in any state. Call one at a time. */
  async add(detection: Detection, entry: ReportEntry = {}): Promise<void> {
    this.count += 1;
    this.model ??= detection.model;
    const name = entry.name ?? detection.input.path ?? `input ${this.count}`;
    const anchor = `input-${this.count}`;
    const stem = `${String(this.count).padStart(4, '0')}-${fileStem(name)}`;
    const photographs = await this.figures(await photographPictures(detection), stem);
    const faces: string[] = [];
    for (const [index, face] of detection.faces.entries()) {
      const map = detection.maps[index];
      const pictures = map === undefined ? [] : await facePictures(face, map, index + 1, entry.trueMask);
      faces.push(
        `<h3>Face ${index + 1}: ${escapeHtml(verdictSentence(face))}</h3>` +
          `<div class="pictures">${await this.figures(pictures, stem)}</div>` +
          `${namedRegionsSentence(face)}${regionTable(face.regions)}` +
          dialogueSection(entry.dialogues?.[index] ?? [], index + 1) +
          (await this.flowLink(detection.flows[index], `${stem}-face${index + 1}-flow`)),
      );
    }
    const message =
      detection.status === 'error'
        ? `<p>Could not be read: ${escapeHtml(detection.error?.message ?? '')}</p>`
        : detection.status === 'no-face'
          ? '<p>No face was found, so there is no score.</p>'
          : '';
    const article =
      `<article id="${anchor}"><h2>${escapeHtml(name)}</h2>${message}` +
      `<div class="pictures">${photographs}</div>${faces.join('')}</article>\n`;
    await this.append(article, summaryRow(detection, name, anchor));
  }

  /**
   * Completes the pages and puts the folder in place.
   *
   * @returns the path of the first page
   * @throws KfdError ERR_KFD_FILE_WRITE; ERR_KFD_NO_INPUT when nothing was added
   */
  async finish(): Promise<string> {
    if (this.model === undefined) {
      await this.discard();
      throw new KfdError('ERR_KFD_NO_INPUT', 'A report needs at least one input.');
    }
    try {
      const bar = colorBarHtml(await inlinePng(colorBar('inferno', 16)));
      for (const [index, page] of this.pages.entries())
        await this.assemblePage(index + 1, page, this.model, bar);
      const index = { schema: INDEX_SCHEMA, inputs: this.count, pages: this.pages.length, files: this.files };
      await writeFile(path.join(this.folder, INDEX_FILE), `${JSON.stringify(index, null, 2)}\n`);
      await this.putInPlace();
    } catch (error) {
      await this.discard();
      throw writeError(this.target, error);
    }
    return path.join(this.target, pageFile(1));
  }

  /** Removes what was built; the target stays as it was. */
  async discard(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** The viewer of a face's attention flow as a page of its own beside the report, and the link to it. */
  private async flowLink(flow: AttentionFlow | undefined, name: string): Promise<string> {
    if (flow === undefined) return '';
    for (const file of await writeFlowFiles(flow, this.folder, { name }))
      this.files.push(path.basename(file));
    return `<p><a href="${name}.html">How the score forms, block by block</a></p>`;
  }

  private async figures(pictures: readonly Picture[], stem: string): Promise<string> {
    for (const { file } of pictures) {
      if (file === undefined) continue;
      const name = `${stem}-${file.suffix}`;
      await writeFile(path.join(this.folder, name), file.png).catch((error: unknown) => {
        throw writeError(this.target, error);
      });
      this.files.push(name);
    }
    return pictures.map(({ figure }) => figureHtml(figure)).join('');
  }

  private async append(article: string, row: string): Promise<void> {
    let page = this.pages.at(-1);
    if (page === undefined || page.rows.length >= INPUTS_PER_PAGE) {
      page = { rows: [], body: path.join(this.folder, `body-${this.pages.length + 1}`) };
      this.pages.push(page);
    }
    page.rows.push(row);
    await appendFile(page.body, article).catch((error: unknown) => {
      throw writeError(this.target, error);
    });
  }

  private navigation(current: number): string {
    if (this.pages.length === 1) return '';
    const links = this.pages.map((_, index) => {
      const number = index + 1;
      return number === current
        ? `<strong>${number}</strong>`
        : `<a href="${pageFile(number)}">${number}</a>`;
    });
    return `<nav aria-label="Pages"><p>Page ${links.join(' ')}</p></nav>`;
  }

  private async assemblePage(
    number: number,
    page: Page,
    model: Detection['model'],
    bar: string,
  ): Promise<void> {
    const file = path.join(this.folder, pageFile(number));
    await writeFile(
      file,
      pageHead({
        title: this.title,
        model,
        notes: this.notes,
        navigation: this.navigation(number),
        colorBar: bar,
        summaryRows: page.rows,
      }),
    );
    await pipeline(createReadStream(page.body), createWriteStream(file, { flags: 'a' }));
    await appendFile(file, PAGE_END);
    await rm(page.body);
  }

  /** An earlier report steps aside first, and comes back if the new one cannot take its place. */
  private async putInPlace(): Promise<void> {
    const aside = temporaryName(this.target);
    const existed = await rename(this.target, aside).then(
      () => true,
      (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw error;
      },
    );
    try {
      await rename(this.folder, this.target);
    } catch (error) {
      if (existed) await rename(aside, this.target);
      throw error;
    }
    await rm(aside, { recursive: true, force: true });
  }
}

function writeError(target: string, cause: unknown): KfdError {
  if (cause instanceof KfdError) return cause;
  return new KfdError(
    'ERR_KFD_FILE_WRITE',
    `The report ${target} cannot be written: ${(cause as Error).message}`,
    {
      hint: 'Check that the folder is writable and has space left.',
      cause,
    },
  );
}
