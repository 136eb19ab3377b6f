import { toKfdError } from '../../errors.js';
import { interruptSignal } from '../interrupt.js';
import { paint, writeError, writeResult } from '../output.js';
import { StreamedAnswers } from './answerPrinter.js';
import { COMMAND_WORDS, runChatCommand } from './chatCommands.js';
import { LineReader } from './lineReader.js';
import type { Session } from './session.js';

/** Asks one question; Ctrl-C (`stop`) breaks off the answer, and the dialogue goes on as if it had not been asked. */
async function answer({ dialogue }: Session, question: string, stop: AbortSignal): Promise<void> {
  const printer = new StreamedAnswers(false);
  await printer.ask(question);
  try {
    const signal = AbortSignal.any([stop, interruptSignal]);
    await printer.answer(await dialogue.ask(question, { signal, onText: printer.onText }));
  } catch (error) {
    if (toKfdError(error).code !== 'ERR_KFD_ABORTED') throw error;
    await printer.stopped();
  }
}

/** Errors that end nothing: a file that cannot be written, a question that is too long. */
async function handle(session: Session, line: string, stop: AbortSignal): Promise<boolean> {
  try {
    if (line.startsWith('/')) return await runChatCommand(session, line);
    await answer(session, line, stop);
  } catch (thrown) {
    const error = toKfdError(thrown);
    if (error.code === 'ERR_KFD_INTERNAL' || error.code === 'ERR_KFD_DISPOSED') throw thrown;
    await writeError(error, false);
  }
  return false;
}

/** Questions and answers on a terminal until the user leaves. */
export async function chat(session: Session): Promise<void> {
  let stop = new AbortController();
  const reader = new LineReader({
    prompt: `${paint('cyan', 'ask')}> `,
    words: COMMAND_WORDS,
    onInterrupt: () => stop.abort(),
  });
  const leave = (): void => reader.close();
  interruptSignal.addEventListener('abort', leave, { once: true });
  try {
    await writeResult('Ask about the result; /help lists commands, /quit leaves.');
    for (;;) {
      const line = (await reader.read())?.trim();
      if (line === undefined) return;
      stop = new AbortController();
      if (line !== '' && (await handle(session, line, stop.signal))) return;
    }
  } finally {
    interruptSignal.removeEventListener('abort', leave);
    reader.close();
  }
}
