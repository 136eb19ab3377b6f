/**
 * `npm run demo`: the detector on a bundled real photograph and on a forgery of it whose true mask is known, how its
 * scores form block by block, a report to look at, and what was found in words. Run as a program after set-up;
 * `--model FILE` takes another detector, `--explainer FILE` other soft prompts.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { describeMilestones } from '../daam/summary.js';
import { toKfdError } from '../errors.js';
import type { Answer } from '../explain/answerDocument.js';
import { Explainer } from '../explain/explainer.js';
import { decodeImage } from '../image/decode.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { Detection } from '../kfd/detection.js';
import { Detector } from '../kfd/detector.js';
import { describeMaturity } from '../kfd/maturity.js';
import { describeMeasurements } from '../kfd/measurements.js';
import { packageRoot } from '../native/config.js';
import { describeCheck, describeClaim, describeVoice, voiceOf } from '../report/answerWords.js';
import { ReportWriter } from '../report/reportWriter.js';
import { findLanguageModel } from '../setup/languageModel.js';
import { exitCodeOf } from './exitCodes.js';
import { formatFace } from './detectionPrinter.js';
import { paint, printable, printableLines, writeError, writeResult } from './output.js';

interface Picture {
  file: string;
  what: string;
  mask: string | undefined;
}

const PICTURES: readonly Picture[] = [
  { file: 'astronaut.jpg', what: 'a real photograph (NASA portrait)', mask: undefined },
  {
    file: 'astronaut-forged.jpg',
    what: 'a forgery of it: the inner face replaced by a changed copy',
    mask: 'astronaut-forged-mask.png',
  },
];

const photoPath = (file: string) => path.join(packageRoot(), 'test', 'fixtures', 'photos', file);

async function showPicture(picture: Picture, detection: Detection): Promise<void> {
  const { decodeMs, faceMs, forwardMs, totalMs } = detection.timing;
  await writeResult(paint('bold', picture.what));
  for (const [index, face] of detection.faces.entries()) {
    await writeResult(`  ${formatFace(picture.file, face, index + 1, detection.faces.length)}`);
  }
  if (detection.faces.length === 0) await writeResult('  no face was found, so there is no score');
  for (const target of detection.flows.flatMap((flow) => flow.targets)) {
    await writeResult(`  how the score forms: ${describeMilestones(target)}`);
  }
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  await writeResult(
    `  ${ms(totalMs)}: decode ${ms(decodeMs)}, find the face ${ms(faceMs)}, network ${ms(forwardMs)}\n`,
  );
}

async function showWorth(detector: Detector): Promise<void> {
  const { model, metrics } = detector.info();
  await writeResult(paint('bold', `what ${model.name} can and cannot tell`));
  await writeResult(`  ${describeMaturity(model.maturity)}`);
  const measured = describeMeasurements(metrics);
  for (const sentence of measured) await writeResult(`  - ${sentence}`);
  if (measured.length === 0) await writeResult('  - its manifest records no measurements at all');
  await writeResult(
    '  - two pictures prove nothing: look at the map beside the true mask, and at the figures above\n',
  );
}

const QUESTIONS = [
  'Is this face real or fake?',
  'Where are the strongest traces?',
  'Is the left eye manipulated?',
  'Are you sure? I think it is real.',
  'Which program made it?',
];

async function showAnswer(answer: Answer): Promise<void> {
  await writeResult(`  Q: ${answer.question}\n  A: ${printableLines(answer.text)}`);
  for (const line of describeCheck(answer)) await writeResult(`     ${printableLines(line)}`);
  for (const line of answer.claims.flatMap(describeClaim))
    await writeResult(paint('dim', `     ${printable(line)}`));
}

/** Asks about the forgery; the language model may be missing, and then the evidence's own sentences answer. */
async function explain(detection: Detection, explainerFile: string | undefined): Promise<readonly Answer[]> {
  const [face] = detection.faces;
  if (face === undefined) return [];
  await using explainer = await Explainer.load({ explainer: explainerFile, dialogues: 1 });
  await using dialogue = await explainer.open(face, { detector: detection.model });
  await writeResult(paint('bold', 'the forgery, explained'));
  for (const question of QUESTIONS) {
    const answer = await dialogue.ask(question);
    if (dialogue.history.length === 1) {
      await writeResult(`  ${printableLines(describeVoice(voiceOf(answer)))}`);
      if (answer.models.languageModel !== null)
        await writeResult(`  language model: ${(await findLanguageModel())?.path ?? ''}`);
    }
    await showAnswer(answer);
  }
  await writeResult('  more: npx kfd-native explain PHOTO\n');
  return dialogue.history;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { model: text, explainer: text, out: text } });
  const out = path.resolve(values.out ?? path.join(packageRoot(), 'out', 'demo'));
  const detector = await Detector.load({ model: values.model, explainer: values.explainer });
  try {
    const report = await ReportWriter.create(out, {
      title: 'kfd-native demo: a photograph and a forgery of it',
      notes: describeMeasurements(detector.info().metrics),
    });
    try {
      for (const picture of PICTURES) {
        const detection = await detector.detect(photoPath(picture.file), {
          pixels: true,
          path: picture.file,
          flow: {},
          evidence: true,
        });
        const trueMask: RgbImage | undefined =
          picture.mask === undefined ? undefined : await decodeImage(photoPath(picture.mask));
        await showPicture(picture, detection);
        // The forgery is the picture with a true mask.
        const answers = trueMask === undefined ? [] : await explain(detection, values.explainer);
        await report.add(detection, {
          name: `${picture.file}: ${picture.what}`,
          trueMask,
          dialogues: [answers],
        });
      }
      await showWorth(detector);
      await writeResult(`report with maps, attention flow and the true mask: ${await report.finish()}`);
    } catch (error) {
      await report.discard();
      throw error;
    }
  } finally {
    await detector.dispose();
  }
}

try {
  await main();
} catch (thrown) {
  const error = toKfdError(thrown);
  await writeError(error, false);
  process.exitCode = exitCodeOf(error.code);
}
