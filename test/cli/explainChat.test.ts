import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Answer } from '../../lib/explain/answerDocument.js';
import { findLanguageModel } from '../../lib/setup/languageModel.js';
import { CLI } from '../detect/command.js';
import { savedDetection } from './explainSamples.js';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const UP = '\u001b[A';

const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** The command line on a terminal of its own, which `script` of util-linux provides. */
class Terminal {
  private output = '';
  private seen = 0;
  private readonly child: ChildProcess;
  readonly exit: Promise<number | null>;

  constructor(args: readonly string[], cwd: string) {
    const words = [process.execPath, CLI, 'explain', ...args].map(quoted).join(' ');
    this.child = spawn('script', ['-qec', `stty cols 200; exec ${words}`, '/dev/null'], {
      cwd,
      env: { ...process.env, NO_COLOR: '1', KFD_MODEL: '' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.exit = new Promise((resolve) => this.child.on('close', (code) => resolve(code)));
  }

  type(text: string): void {
    this.child.stdin?.write(text);
  }

  /** Waits for something new on the screen, and returns what was printed up to its end. */
  async expect(pattern: RegExp): Promise<string> {
    const until = Date.now() + 120_000;
    for (;;) {
      const match = pattern.exec(this.output.slice(this.seen));
      if (match !== null) {
        const from = this.seen;
        this.seen += match.index + match[0].length;
        return this.output.slice(from, this.seen);
      }
      if (Date.now() > until || this.child.exitCode !== null)
        throw new Error(`${String(pattern)} did not come. On the screen: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  kill(): void {
    if (this.child.exitCode === null) this.child.kill('SIGKILL');
  }
}

describe('explain: the chat on a terminal', function () {
  this.timeout(300_000);
  let folder: string;
  let terminal: Terminal | undefined;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-chat-'));
    await writeFile(path.join(folder, 'detection.json'), JSON.stringify(savedDetection()));
  });
  afterEach(() => terminal?.kill());
  after(() => rm(folder, { recursive: true }));

  function start(...args: string[]): Terminal {
    terminal = new Terminal(['--detection', 'detection.json', ...args], folder);
    return terminal;
  }

  it('answers, lists, remembers lines, saves, and leaves with /quit', async () => {
    const chat = start('--conditioning', 'sentences');
    const opening = await chat.expect(/ask> /);
    assert.match(opening, /Demonstration weights[^]*fake {3}0\.918 {2}photo\.jpg[^]*no language model/);
    chat.type('Is it fake?\r');
    await chat.expect(/A: This face looks fake: the forgery score is 91%[^]*ask> /);
    chat.type('/claims\r');
    assert.match(await chat.expect(/ask> /), /supported +verdict[^]*supported +score[^]*0\.918/);
    chat.type('/regions\r');
    assert.match(await chat.expect(/ask> /), /nose +0\.810 +20\.0 % +yes[^]*22 % of the face/);
    chat.type('/map\r');
    assert.match(await chat.expect(/ask> /), /No map/);
    chat.type(`${UP}${UP}${UP}${UP}\r`); // the question, three commands ago
    await chat.expect(/A: This face looks fake: the forgery score is 91%[^]*ask> /);
    chat.type('/save talk.jsonl\r');
    await chat.expect(/saved: .*talk\.jsonl[^]*ask> /);
    chat.type('/save talk.md\r');
    await chat.expect(/saved: .*talk\.md[^]*ask> /);
    chat.type('/save detection.json\r');
    assert.match(await chat.expect(/ask> /), /error: .*is there already/);
    chat.type('/frobnicate\r');
    assert.match(await chat.expect(/ask> /), /There is no \/frobnicate/);
    chat.type('/help\r');
    assert.match(await chat.expect(/ask> /), /\/save FILE/);
    chat.type('/quit\r');
    assert.equal(await chat.exit, 0);
    const saved = (await readFile(path.join(folder, 'talk.jsonl'), 'utf8')).trimEnd().split('\n');
    assert.deepEqual(
      saved.map((line) => (JSON.parse(line) as Answer).question),
      ['Is it fake?', 'Is it fake?'],
    );
    const markdown = await readFile(path.join(folder, 'talk.md'), 'utf8');
    assert.match(
      markdown,
      /^# photo\.jpg, face 1 of 2\n\n\*\*FAKE\*\*: forgery score 0\.918[^]*## Is it fake\?/,
    );
  });

  it('leaves with Ctrl-D, and with the second Ctrl-C at the empty prompt; a typed line is only cleared', async () => {
    let chat = start('--conditioning', 'sentences');
    await chat.expect(/ask> /);
    chat.type(CTRL_D);
    assert.equal(await chat.exit, 0);
    chat = start('--conditioning', 'sentences');
    await chat.expect(/ask> /);
    chat.type('half a quest');
    await chat.expect(/half a quest/);
    chat.type(CTRL_C);
    await chat.expect(/\^C[^]*ask> /);
    chat.type(CTRL_C);
    await chat.expect(/Ctrl-C again[^]*ask> /);
    chat.type('Is it fake?\r');
    await chat.expect(/A: This face looks fake[^]*ask> /); // asking goes on as if nothing had been typed
    chat.type(CTRL_C);
    await chat.expect(/Ctrl-C again[^]*ask> /);
    chat.type(CTRL_C);
    assert.equal(await chat.exit, 0);
  });

  it('Ctrl-C stops an answer and not the program, and lines typed meanwhile wait', async function () {
    if ((await findLanguageModel()) === undefined) this.skip();
    // The evidence as text and no check: an answer that is long enough to be broken off.
    const chat = start('--conditioning', 'text', '--no-check');
    await chat.expect(/ask> /);
    chat.type('Describe everything in this picture in great detail, at length.\r');
    await chat.expect(/A: \S/);
    chat.type('/claims\r');
    chat.type(CTRL_C);
    assert.match(await chat.expect(/stopped[^]*ask> \/claims[^]*?ask> /), /Nothing was answered yet/);
    chat.type('Is it fake?\r');
    await chat.expect(/A: \S[^]*?ask> /);
    chat.type('/quit\r');
    assert.equal(await chat.exit, 0);
  });
});
