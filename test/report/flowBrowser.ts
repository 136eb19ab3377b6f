import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { FlowDocument } from '../../lib/daam/flowDocument.js';
import { flowPage } from '../../lib/report/flowPage.js';
import { samplePicture } from './flowSample.js';

/**
 * A real browser for the tests of pages. Without one the suites are skipped; with CI=true that is a failure
 * (test/run.mjs). Page expressions are strings: they run in the browser, and these files know no DOM.
 */

const COMMANDS = ['chromium', 'chromium-browser', 'google-chrome'];

export function findChromium(): string | undefined {
  return COMMANDS.find((command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0);
}

function pathOf(command: string): string {
  return spawnSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' }).stdout.trim();
}

export interface OpenPage {
  page: Page;
  /** Every address that the page asked for, the file itself left out. */
  requests: string[];
}

/** One browser for a suite; pages are closed with it. */
export class PageTester {
  /** Errors and warnings of all pages' consoles, and uncaught errors. */
  readonly complaints: string[] = [];
  private constructor(
    private readonly browser: Browser,
    private readonly folder: string,
  ) {}

  static async start(command: string): Promise<PageTester> {
    const browser = await chromium.launch({
      executablePath: pathOf(command),
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
    });
    return new PageTester(browser, await mkdtemp(path.join(os.tmpdir(), 'kfd-viewer-')));
  }

  /** Opens the viewer of a document from a file, without a network, and waits until it stands. */
  async open(document: FlowDocument, options: BrowserContextOptions = {}): Promise<OpenPage> {
    const file = path.join(this.folder, 'flow.html');
    await writeFile(file, flowPage(document, await samplePicture(document)));
    const opened = await this.openFile(file, options);
    await opened.page.waitForSelector('html[data-ready]', { timeout: 30_000 });
    return opened;
  }

  /** Opens any page from a file, without a network. */
  async openFile(file: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
    const context = await this.browser.newContext({ offline: true, ...options });
    const page = await context.newPage();
    const requests: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith('file:')) requests.push(request.url());
    });
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    await page.goto(pathToFileURL(file).href);
    return { page, requests };
  }

  /** @throws where a page wrote an error or warning to its console */
  checkConsole(): void {
    assert.deepEqual(this.complaints.splice(0), []);
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Value of an expression in the page. */
export function inPage<T>(page: Page, expression: string): Promise<T> {
  return page.evaluate<T>(expression);
}

/** RGBA of canvas pixels at points given as shares of width and height. */
export function canvasPixels(
  page: Page,
  selector: string,
  points: readonly (readonly [number, number])[],
): Promise<number[][]> {
  return inPage(
    page,
    `(() => {
      const canvas = document.querySelector(${JSON.stringify(selector)});
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const image = copy.getImageData(0, 0, canvas.width, canvas.height);
      return ${JSON.stringify(points)}.map(([x, y]) => {
        const at = 4 * (Math.floor(y * canvas.height) * canvas.width + Math.floor(x * canvas.width));
        return [...image.data.slice(at, at + 4)];
      });
    })()`,
  );
}

export const textOf = async (page: Page, selector: string): Promise<string> =>
  ((await page.textContent(selector)) ?? '').trim();

/** Suites below `describeInBrowser` run once a browser is there. */
export function describeInBrowser(title: string, suite: (tester: () => PageTester) => void): void {
  describe(title, function () {
    let tester: PageTester | undefined;
    before(async function () {
      const command = findChromium();
      if (command === undefined) {
        if (process.env['CI'] === 'true')
          throw new Error(`none of ${COMMANDS.join(', ')} is installed, and with CI=true that is a failure`);
        this.skip();
      }
      tester = await PageTester.start(command);
    });
    after(() => tester?.stop());
    afterEach(() => tester?.checkConsole());
    suite(() => {
      if (tester === undefined) throw new Error('the browser has not been started');
      return tester;
    });
  });
}
