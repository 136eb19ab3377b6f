import { createInterface } from 'node:readline';
import { readTextFile } from '../../data/readTextFile.js';
import { KfdError } from '../../errors.js';
import { STDIN } from '../detectInputs.js';
import { DEFAULT_QUESTIONS } from './defaultQuestions.js';

export interface QuestionSource {
  question?: readonly string[] | undefined;
  /** A file with a question a line, or `-`. */
  questionsFrom?: string | undefined;
}

/** Each line is given as soon as it is there: a program at the other end may wait for the answer. */
async function* stdinLines(signal: AbortSignal): AsyncGenerator<string> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  const close = (): void => lines.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    yield* lines;
  } finally {
    signal.removeEventListener('abort', close);
    lines.close();
  }
}

async function* withoutBlanks(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  for await (const line of lines) if (line.trim() !== '') yield line.trim();
}

/**
 * The questions of a scripted run, in their order: those of the command line, else those of the file, else the usual ones.
 *
 * @throws KfdError ERR_KFD_USAGE for an empty question, ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ
 */
export async function collectQuestions(
  { question = [], questionsFrom }: QuestionSource,
  signal: AbortSignal,
): Promise<AsyncIterable<string>> {
  if (question.some((each) => each.trim() === ''))
    throw new KfdError('ERR_KFD_USAGE', 'Expected a question with -q but received an empty one.');
  if (questionsFrom === undefined) return withoutBlanks(question.length === 0 ? DEFAULT_QUESTIONS : question);
  return withoutBlanks(
    questionsFrom === STDIN
      ? stdinLines(signal)
      : (await readTextFile(questionsFrom, 'questions')).split('\n'),
  );
}
