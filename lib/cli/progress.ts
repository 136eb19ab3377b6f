import cliProgress from 'cli-progress';
import { environmentConfig } from '../native/config.js';
import { setStatusLineShown } from './statusLine.js';

export interface Progress {
  /** How much is done so far, in the unit of the bar. */
  update(done: number): void;
  /** Removes the bar. Idempotent. */
  stop(): void;
}

export interface ProgressOptions {
  label: string;
  /** When unknown the bar only counts. */
  total?: number | undefined;
  unit: 'files' | 'bytes';
  quiet?: boolean | undefined;
}

const SILENT: Progress = { update: () => undefined, stop: () => undefined };
const MEBIBYTE = 1024 * 1024;
const SAVE_CURSOR = '\u001b7';

/** A bar is drawn on a terminal only: never into a pipe or file, never with CI or --quiet. */
export function showsProgress(quiet: boolean | undefined): boolean {
  return process.stderr.isTTY && !environmentConfig().ci && quiet !== true;
}

/** A progress bar on stderr, or something that does nothing where none belongs. */
export function startProgress(options: ProgressOptions): Progress {
  if (!showsProgress(options.quiet)) return SILENT;
  const scale = options.unit === 'bytes' ? MEBIBYTE : 1;
  const unit = options.unit === 'bytes' ? 'MiB' : 'files';
  // No time left for bytes: downloads and unpacking go in bursts, and the estimate would jump.
  const left = options.unit === 'files' ? ' {eta_formatted}' : '';
  const format = options.total === undefined ? `{value} ${unit}` : `[{bar}] {value}/{total} ${unit}${left}`;
  const bar = new cliProgress.SingleBar(
    {
      format: `${options.label} ${format}`,
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
      gracefulExit: false, // interrupt.ts owns the signals
    },
    cliProgress.Presets.legacy,
  );
  bar.start(Math.ceil((options.total ?? 0) / scale), 0);
  setStatusLineShown(true);
  let stopped = false;
  return {
    update: (done) => bar.update(Math.floor(done / scale)),
    stop: () => {
      if (stopped) return;
      // The bar goes back to the cursor saved at its start, above all lines printed since: save it anew, here.
      process.stderr.write(SAVE_CURSOR);
      bar.stop();
      setStatusLineShown(false);
      stopped = true;
    },
  };
}
