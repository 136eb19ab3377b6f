import { EXIT, type ExitCode } from './exitCodes.js';

/**
 * One AbortController for the whole process. The first SIGINT or SIGTERM asks the running command to stop, a second
 * one ends the process at once. A reader that closes our output (`| head`) stops the command too, quietly.
 */
const controller = new AbortController();
let exitCode: ExitCode | undefined;

/** Commands hand this to everything that takes a signal. */
export const interruptSignal: AbortSignal = controller.signal;

/** The exit code that an interruption calls for; undefined when there was none. */
export function interruptExitCode(): ExitCode | undefined {
  return exitCode;
}

function interrupt(code: ExitCode, reason: string): void {
  if (exitCode === undefined) {
    exitCode = code;
    controller.abort(new Error(reason));
  } else if (code !== EXIT.ok) {
    process.exit(code);
  }
}

/** Listens to the signals and to closed pipes; called once, by main. */
export function watchInterrupts(): void {
  process.on('SIGINT', () => interrupt(EXIT.interrupted, 'SIGINT'));
  process.on('SIGTERM', () => interrupt(EXIT.terminated, 'SIGTERM'));
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    interrupt(EXIT.ok, 'The reader of stdout has closed it.');
  });
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error; // nobody reads the messages: the results still count
  });
}
