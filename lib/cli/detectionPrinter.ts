import { describeMilestones } from '../daam/summary.js';
import type { Answer } from '../explain/answerDocument.js';
import type { Detection, FaceDetection } from '../kfd/detection.js';
import { describeMaturity } from '../kfd/maturity.js';
import { describeCheck, describeVoice, voiceOf } from '../report/answerWords.js';
import type { ExplainedDetection } from './explain/explainDetections.js';
import { paint, printable, printableLines, writeFailure, writeJson, writeResult } from './output.js';

export type OutputFormat = 'text' | 'json' | 'jsonl';

/** Prints detections as they come. */
export interface DetectionPrinter {
  print(explained: ExplainedDetection): Promise<void>;
  end(): Promise<void>;
}

const WHOLE_FACE = 'full face';

/** What the map says of the face, in brackets; nothing where the crop is not canonical. */
function describeMap({ regions, namedRegions }: FaceDetection): string {
  const whole = regions.find((region) => region.name === WHOLE_FACE);
  if (whole === undefined) return '';
  // The rule abstains where the map does not single parts out (docs/regions.md); then no part is named here either.
  const named = namedRegions.length > 0 ? `; stands out: ${namedRegions.join(', ')}` : '';
  return `  (map over the face: ${whole.score.toFixed(2)}${named})`;
}

/** `fake  0.973  a.jpg  face 1 of 2  (map over the face: 0.61; stands out: nose, left cheek)` */
export function formatFace(name: string, face: FaceDetection, number: number, count: number): string {
  const verdict = face.verdict.padEnd(5);
  const which = count > 1 ? `  face ${number} of ${count}` : '';
  const colored = paint(face.verdict === 'fake' ? 'red' : 'green', verdict);
  return `${colored}  ${face.score.toFixed(3)}  ${printable(name)}${which}${describeMap(face)}`;
}

/** Below a face's line, indented like the flow's. */
async function printAnswers(answers: readonly Answer[]): Promise<void> {
  for (const answer of answers) {
    await writeResult(`       ${printableLines(answer.text)}`);
    for (const line of describeCheck(answer)) await writeResult(`         ${printableLines(line)}`);
  }
}

class TextPrinter implements DetectionPrinter {
  private started = false;
  private introduced = false;

  async print({ detection, answers }: ExplainedDetection): Promise<void> {
    if (!this.started) {
      this.started = true;
      await writeResult(describeMaturity(detection.model.maturity));
      await writeResult('verdict, forgery score (0 real to 1 fake), file, mean of the map over the face:');
    }
    const { faces, input } = detection;
    for (const [index, face] of faces.entries()) {
      await writeResult(formatFace(input.path ?? 'image', face, index + 1, faces.length));
      for (const target of detection.flows[index]?.targets ?? [])
        await writeResult(`       ${target.name}: ${describeMilestones(target)}`);
      await this.explain(answers[index] ?? []);
    }
  }

  /** Who speaks is said once, before the first answer. */
  private async explain(answers: readonly Answer[]): Promise<void> {
    const [first] = answers;
    if (first !== undefined && !this.introduced) {
      this.introduced = true;
      await writeResult(`       (${printableLines(describeVoice(voiceOf(first)))})`);
    }
    await printAnswers(answers);
  }

  async end(): Promise<void> {
    // every line has been written
  }
}

/** One detection is one object, several are one array; which it is shows with the second. */
class JsonPrinter implements DetectionPrinter {
  private held: Detection | undefined;
  private isArray = false;

  async print({ detection }: ExplainedDetection): Promise<void> {
    if (this.held !== undefined) {
      await writeResult(`${this.isArray ? '' : '[\n'}${JSON.stringify(this.held)},`);
      this.isArray = true;
    }
    this.held = detection;
  }

  async end(): Promise<void> {
    if (this.held === undefined) await writeResult('[]');
    else if (this.isArray) await writeResult(`${JSON.stringify(this.held)}\n]`);
    else await writeJson(this.held, true);
  }
}

class JsonLinesPrinter implements DetectionPrinter {
  async print({ detection }: ExplainedDetection): Promise<void> {
    await writeJson(detection);
  }

  async end(): Promise<void> {
    // every line has been written
  }
}

export function createPrinter(format: OutputFormat): DetectionPrinter {
  if (format === 'json') return new JsonPrinter();
  return format === 'jsonl' ? new JsonLinesPrinter() : new TextPrinter();
}

/** One line on stderr for an input without a verdict. */
export function reportFailure({ status, error, input }: Detection): void {
  const name = input.path ?? 'image';
  const message = status === 'no-face' ? 'no face was found, so there is no score' : (error?.message ?? '');
  writeFailure(message.startsWith(name) ? message : `${name}: ${message}`);
}
