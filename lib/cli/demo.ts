/**
 * `npm run demo`: the detector on a bundled real photograph and on a forgery of it whose true mask is known, how its
 * scores form block by block, and a report to look at. Run as a program after set-up; `--model FILE` takes another detector.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { describeMilestones } from '../daam/summary.js';
import { toKfdError } from '../errors.js';
import { decodeImage } from '../image/decode.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { Detection } from '../kfd/detection.js';
import { Detector } from '../kfd/detector.js';
import { describeMaturity } from '../kfd/maturity.js';
import { describeMeasurements } from '../kfd/measurements.js';
import { packageRoot } from '../native/config.js';
import { ReportWriter } from '../report/reportWriter.js';
import { exitCodeOf } from './exitCodes.js';
import { formatFace } from './detectionPrinter.js';
import { paint, writeError, writeResult } from './output.js';

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

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { model: { type: 'string' }, out: { type: 'string' } } });
  const out = path.resolve(values.out ?? path.join(packageRoot(), 'out', 'demo'));
  const detector = await Detector.load({ model: values.model });
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
        });
        const trueMask: RgbImage | undefined =
          picture.mask === undefined ? undefined : await decodeImage(photoPath(picture.mask));
        await showPicture(picture, detection);
        await report.add(detection, { name: `${picture.file}: ${picture.what}`, trueMask });
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
