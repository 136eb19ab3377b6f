/** How the set-up tells what it does; the command line shows it, tests collect it. */
export interface SetupReporter {
  /** A line about what is being done or was found. */
  note(line: string): void;
  /** Starts a progress display over `total` bytes. */
  progress(label: string, total: number): { update(done: number): void; stop(): void };
  /** Raw output of a tool; shown with --verbose only. */
  toolOutput(text: string): void;
}

export const silentReporter: SetupReporter = {
  note: () => undefined,
  progress: () => ({ update: () => undefined, stop: () => undefined }),
  toolOutput: () => undefined,
};
