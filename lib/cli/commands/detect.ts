import type { Argv } from 'yargs';
import { KfdError } from '../../errors.js';
import type { Explainer } from '../../explain/explainer.js';
import type { Detector } from '../../kfd/detector.js';
import type { Detection } from '../../kfd/detection.js';
import type { DetectInput } from '../../kfd/stream.js';
import type { ReportWriter } from '../../report/reportWriter.js';
import { defineCommand } from '../command.js';
import { collectInputs, restoreDashes } from '../detectInputs.js';
import { createPrinter, reportFailure, type OutputFormat } from '../detectionPrinter.js';
import { explainDetections } from '../explain/explainDetections.js';
import { addExplainerOptions, detectorExplainer } from '../explain/explainerOptions.js';
import { EXIT } from '../exitCodes.js';
import { addDetectorOptions } from '../detectorOptions.js';
import { addMachineOptions, lanesOption } from '../machineOptions.js';
import { interruptSignal } from '../interrupt.js';
import { writeMessage } from '../output.js';
import { startProgress } from '../progress.js';

const FACE_CHOICES = ['largest', 'all', 'whole'] as const;

function options(cli: Argv) {
  return addExplainerOptions(
    addMachineOptions(
      addDetectorOptions(
        cli
          .positional('inputs', {
            type: 'string',
            array: true,
            default: [] as string[],
            describe: 'Image files, folders of images, or - for one image on stdin',
          })
          .option('files-from', {
            type: 'string',
            nargs: 1, // otherwise yargs does not take the lone - for a value
            describe: 'Read paths from this file, one a line; - reads stdin',
          })
          .option('null', {
            alias: '0',
            type: 'boolean',
            default: false,
            describe: 'Paths of --files-from end with NUL',
          })
          .option('recursive', {
            alias: 'r',
            type: 'boolean',
            default: false,
            describe: 'Search subfolders too',
          })
          .option('json', {
            type: 'boolean',
            default: false,
            describe: 'One object for one input, an array for several',
          })
          .option('jsonl', {
            type: 'boolean',
            default: false,
            describe: 'One object a line, as results come',
          })
          .option('faces', {
            choices: FACE_CHOICES,
            default: 'largest' as const,
            describe: 'Which faces to judge; whole = the image is the face crop',
          }),
      ).option('explain', {
        type: 'boolean',
        default: false,
        describe: 'Also say in words what was found, checked against the numbers (docs/explain.md)',
      }),
    ),
  )
    .option('concurrency', {
      type: 'number',
      describe: 'Images under way, decoding included; default lanes + 1',
    })
    .option('report', {
      type: 'string',
      describe: 'Write overlay pictures and an HTML page into this folder',
    })
    .option('flow', {
      type: 'boolean',
      default: false,
      describe: 'Also how the score forms, block by block; with --report a page a face (docs/daam.md)',
    })
    .option('dump', { type: 'string', describe: 'Write the intermediate arrays of one input to this .npz' })
    .option('input-tensor', {
      type: 'string',
      describe: 'Judge `input` (B,3,224,224) of this .npz instead of images',
    })
    .option('quiet', {
      alias: 'q',
      type: 'boolean',
      default: false,
      describe: 'No progress bar and no summary',
    })
    .example('$0 detect photo.jpg --report out', 'verdict, map and a page to look at')
    .example('$0 detect photo.jpg --explain', 'and what was found, in words')
    .example('$0 detect -r photos --jsonl > results.jsonl', 'a folder, one JSON object a line')
    .example(
      'find . -name "*.png" -print0 | $0 detect --files-from - -0 --jsonl',
      'a list from another program',
    )
    .epilogue('Guide, fields of the JSON and exit codes: docs/detect.md');
}

type DetectArguments = Awaited<ReturnType<typeof options>['argv']>;

async function loadDetector(args: DetectArguments): Promise<Detector> {
  const { Detector } = await import('../../kfd/detector.js');
  return Detector.load({
    model: args.model,
    faceModel: args.faceModel,
    trust: args.trustModel,
    device: args.device,
    lanes: lanesOption(args.lanes),
    threadsPerLane: args.threadsPerLane,
    threshold: args.threshold,
    explainer: args.explain ? detectorExplainer(args) : false,
  });
}

/** Undefined without --explain. */
async function loadExplainer(args: DetectArguments): Promise<Explainer | undefined> {
  if (!args.explain) return undefined;
  const { Explainer } = await import('../../explain/explainer.js');
  const { explainer, languageModel, conditioning } = args;
  return Explainer.load({ explainer, model: languageModel, conditioning, dialogues: 1 });
}

/** What the run works with. */
interface Job {
  args: DetectArguments;
  detector: Detector;
  explainer: Explainer | undefined;
  report: ReportWriter | undefined;
}

interface Outcome {
  count: number;
  failed: number;
  fakes: number;
  faces: number;
}

/** Explains, prints, reports and counts detections as they come. */
async function consume(
  detections: AsyncIterable<Detection>,
  total: number | undefined,
  { args, explainer, report }: Job,
): Promise<Outcome> {
  const format: OutputFormat = args.json ? 'json' : args.jsonl ? 'jsonl' : 'text';
  const printer = createPrinter(format);
  const progress = startProgress({ label: 'detect', total, unit: 'files', quiet: args.quiet });
  const outcome: Outcome = { count: 0, failed: 0, fakes: 0, faces: 0 };
  try {
    for await (const explained of explainDetections(detections, explainer, interruptSignal)) {
      const { detection, answers } = explained;
      outcome.count += 1;
      outcome.faces += detection.faces.length;
      outcome.fakes += detection.faces.filter(({ verdict }) => verdict === 'fake').length;
      if (detection.status !== 'ok') {
        outcome.failed += 1;
        reportFailure(detection);
      }
      await printer.print(explained);
      await report?.add(detection, { dialogues: answers });
      progress.update(outcome.count);
    }
  } finally {
    progress.stop();
  }
  if (outcome.count > 0) await printer.end();
  return outcome;
}

/** `--dump` belongs to one input, and says so before anything is computed. */
async function onlyInput(
  inputs: AsyncIterable<DetectInput>,
  total: number | undefined,
): Promise<DetectInput> {
  if (total === 1) for await (const input of inputs) return input;
  throw new KfdError('ERR_KFD_USAGE', `--dump takes one input but received ${total ?? 'a list'}.`, {
    hint: 'Run detect --dump once for each image.',
  });
}

async function writeDump(
  detector: Detector,
  input: DetectInput,
  args: DetectArguments,
  file: string,
): Promise<void> {
  const { writeNpz } = await import('../../data/npz.js');
  const source = typeof input === 'object' && 'source' in input ? input.source : input;
  await writeNpz(file, await detector.dump(source, { faces: args.faces, signal: interruptSignal }));
}

async function* once<T>(value: Promise<T>): AsyncGenerator<T> {
  yield await value;
}

async function detectTensorFile(job: Job, file: string): Promise<Outcome> {
  const { args, detector } = job;
  const { readNpzArray, writeNpz } = await import('../../data/npz.js');
  const tensor = await readNpzArray(file, 'input');
  if (args.dump !== undefined)
    await writeNpz(args.dump, await detector.dump(tensor, { signal: interruptSignal }));
  const detection = detector.detectTensor(tensor, {
    path: file,
    signal: interruptSignal,
    flow: args.flow ? {} : undefined,
    evidence: args.explain,
  });
  return consume(once(detection), 1, job);
}

async function detectFiles(job: Job): Promise<Outcome> {
  const { args, detector, report } = job;
  const { inputs, total } = await collectInputs({
    paths: args.inputs,
    filesFrom: args.filesFrom,
    nullSeparated: args.null,
    recursive: args.recursive,
  });
  const detectOptions = {
    faces: args.faces,
    signal: interruptSignal,
    pixels: report !== undefined,
    flow: args.flow ? {} : undefined,
    evidence: args.explain,
    concurrency: args.concurrency,
  };
  if (args.dump === undefined) return consume(detector.detectAll(inputs, detectOptions), total, job);
  const input = await onlyInput(inputs, total);
  const outcome = await consume(detector.detectAll([input], detectOptions), total, job);
  if (outcome.failed === 0) await writeDump(detector, input, args, args.dump);
  return outcome;
}

function checkArguments(args: DetectArguments): void {
  if (args.json && args.jsonl) {
    throw new KfdError('ERR_KFD_USAGE', '--json and --jsonl exclude each other.', {
      hint: 'Give one of them.',
    });
  }
  const hasFiles = args.inputs.length > 0 || args.filesFrom !== undefined;
  if (args.inputTensor !== undefined && (hasFiles || args.report !== undefined)) {
    throw new KfdError('ERR_KFD_USAGE', '--input-tensor takes no images and no --report.', {
      hint: 'Give either images or --input-tensor FILE.npz.',
    });
  }
  if (args.inputTensor === undefined && !hasFiles) {
    throw new KfdError('ERR_KFD_NO_INPUT', 'Nothing was given; expected image files or folders.', {
      hint: 'kfd-native detect photo.jpg',
    });
  }
}

async function handler(parsed: DetectArguments): Promise<void> {
  const args = { ...parsed, inputs: restoreDashes(parsed.inputs, process.argv) };
  checkArguments(args);
  const started = performance.now();
  const detector = await loadDetector(args);
  let explainer: Explainer | undefined;
  let report: ReportWriter | undefined;
  try {
    explainer = await loadExplainer(args);
    if (args.report !== undefined) {
      const { ReportWriter } = await import('../../report/reportWriter.js');
      const { describeMeasurements } = await import('../../kfd/measurements.js');
      const notes = describeMeasurements(detector.info().metrics);
      report = await ReportWriter.create(args.report, { notes });
    }
    const job: Job = { args, detector, explainer, report };
    const outcome = await (args.inputTensor === undefined
      ? detectFiles(job)
      : detectTensorFile(job, args.inputTensor));
    if (outcome.count === 0) {
      throw new KfdError('ERR_KFD_NO_INPUT', 'The list of files is empty.', {
        hint: 'Give paths, one a line.',
      });
    }
    if (report !== undefined) {
      const page = await report.finish();
      report = undefined;
      writeMessage(`report: ${page}`);
    }
    if (outcome.failed > 0) process.exitCode = EXIT.someInputsFailed;
    if (!args.quiet) {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;
      writeMessage(
        `${plural(outcome.count, 'input')}, ${plural(outcome.faces, 'face')} judged, ${outcome.fakes} called fake, ` +
          `${outcome.failed} without a verdict, ${seconds} s`,
      );
    }
  } finally {
    await report?.discard();
    await explainer?.dispose();
    await detector.dispose();
  }
}

export const detectCommand = defineCommand({
  command: 'detect [inputs..]',
  describe: 'Judge the faces of images: forged or not, and where',
  builder: options,
  handler,
});
