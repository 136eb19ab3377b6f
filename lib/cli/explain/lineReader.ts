import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';

/** What readline draws goes to stdout, except while an answer is printed: typing ahead must not tear it apart. */
class Screen extends Writable {
  muted = false;

  get columns(): number {
    return process.stdout.columns;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (!this.muted) process.stdout.write(chunk);
    done();
  }
}

export interface LineReaderOptions {
  prompt: string;
  /** Offered with the Tab key. */
  words: readonly string[];
  /** Ctrl-C while no line is being read. */
  onInterrupt: () => void;
}

/**
 * Lines typed on a terminal, with history (arrow keys) and editing. Lines typed ahead wait for their turn. The first
 * Ctrl-C at an empty prompt says how to leave, the second leaves.
 */
export class LineReader {
  private readonly screen = new Screen();
  private readonly terminal: Interface;
  private readonly ahead: string[] = [];
  private waiting: ((line: string | undefined) => void) | undefined;
  private leaving = false;
  private ended = false;

  constructor(private readonly options: LineReaderOptions) {
    this.terminal = createInterface({
      input: process.stdin,
      output: this.screen,
      terminal: true,
      prompt: options.prompt,
      historySize: 200,
      removeHistoryDuplicates: true,
      completer: (line: string) => [this.options.words.filter((word) => word.startsWith(line)), line],
    });
    this.terminal.on('line', (line) => this.take(line));
    this.terminal.on('SIGINT', () => this.interrupt());
    this.terminal.on('close', () => this.end());
    process.stdout.on('resize', this.resize);
  }

  /** The next line; undefined when there will be none (Ctrl-D, two Ctrl-C, `close`). */
  read(): Promise<string | undefined> {
    const line = this.ahead.shift();
    if (line !== undefined) {
      process.stdout.write(`${this.options.prompt}${line}\n`);
      return Promise.resolve(line);
    }
    if (this.ended) return Promise.resolve(undefined);
    this.screen.muted = false;
    this.terminal.prompt(true);
    return new Promise((resolve) => (this.waiting = resolve));
  }

  close(): void {
    this.terminal.close();
  }

  private readonly resize = (): void => void this.screen.emit('resize');

  private take(line: string): void {
    this.leaving = false;
    if (this.waiting === undefined) this.ahead.push(line);
    else this.give(line);
  }

  private give(line: string | undefined): void {
    this.screen.muted = true;
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.(line);
  }

  private interrupt(): void {
    if (this.waiting === undefined) {
      this.options.onInterrupt();
      return;
    }
    if (this.terminal.line === '' && this.leaving) {
      this.close();
      return;
    }
    this.leaving = this.terminal.line === '';
    process.stdout.write(this.leaving ? '^C\nCtrl-C again, Ctrl-D or /quit leaves.\n' : '^C\n');
    this.terminal.write(null, { ctrl: true, name: 'e' });
    this.screen.muted = true; // the line is emptied where nobody sees it, then drawn anew
    this.terminal.write(null, { ctrl: true, name: 'u' });
    this.screen.muted = false;
    this.terminal.prompt();
  }

  private end(): void {
    this.ended = true;
    process.stdout.off('resize', this.resize);
    if (this.waiting !== undefined) process.stdout.write('\n');
    this.give(undefined);
  }
}
