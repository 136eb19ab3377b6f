/**
 * The line of the terminal that a progress bar redraws in place. Whoever prints a line clears it first, so that bar and
 * text never share one; the bar comes back with its next update.
 */
let shown = false;

export function setStatusLineShown(value: boolean): void {
  shown = value;
}

/** Call before a line goes to `stream`; does nothing unless a bar stands on the same terminal. */
export function clearStatusLine(stream: NodeJS.WriteStream): void {
  if (shown && stream.isTTY) process.stderr.write('\r\u001b[2K');
}
