import type { Answer } from '../../explain/answerDocument.js';
import { describeCheck } from '../../report/answerWords.js';
import { paint, printable, printableLines, writePart, writeResult } from '../output.js';

/** How answers reach the reader. */
export interface AnswerPrinter {
  /** Before a question is asked. */
  ask(question: string): Promise<void>;
  /** See AskOptions.onText. */
  onText?: (text: string, at: { round: number }) => void;
  answer(answer: Answer): Promise<void>;
  /** The answer was broken off. */
  stopped(): Promise<void>;
}

/** Below an answer: what the check changed or left open. */
async function printCheck(answer: Answer): Promise<void> {
  for (const line of describeCheck(answer)) await writeResult(paint('dim', `   ${printableLines(line)}`));
}

/** For pipes and files: nothing is printed that does not hold in the end. */
export class WholeAnswers implements AnswerPrinter {
  async ask(question: string): Promise<void> {
    await writeResult(`\nQ: ${printable(question)}`);
  }

  async answer(answer: Answer): Promise<void> {
    await writeResult(`A: ${printableLines(answer.text)}`);
    await printCheck(answer);
  }

  async stopped(): Promise<void> {
    // the command ends, and says so itself
  }
}

/** For terminals: the text as it is generated, and what became of it in the check. */
export class StreamedAnswers implements AnswerPrinter {
  private streamed = '';
  private round: number | undefined;

  /** @param echo whether the question still has to be shown */
  constructor(private readonly echo: boolean) {}

  async ask(question: string): Promise<void> {
    this.streamed = '';
    this.round = undefined;
    if (this.echo) await writeResult(`\n${paint('bold', `Q: ${printable(question)}`)}`);
  }

  readonly onText = (text: string, { round }: { round: number }): void => {
    if (this.round !== round) {
      if (this.round !== undefined) this.startAgain();
      this.round = round;
      this.streamed = '';
      writePart('A: ');
    }
    this.streamed += text;
    writePart(printableLines(text));
  };

  async answer(answer: Answer): Promise<void> {
    if (this.streamed.trim() === answer.text.trim()) writePart('\n');
    else await this.correct(answer);
    await printCheck(answer);
  }

  async stopped(): Promise<void> {
    await writeResult(paint('dim', `${this.round === undefined ? '' : '\n'}   stopped`));
  }

  private startAgain(): void {
    writePart(`\n${paint('dim', '   checked: that does not agree with the numbers; asking again')}\n`);
  }

  private async correct({ text }: Answer): Promise<void> {
    if (this.round !== undefined) await writeResult(paint('dim', '\n   checked: what holds is'));
    await writeResult(`A: ${printableLines(text)}`);
  }
}
