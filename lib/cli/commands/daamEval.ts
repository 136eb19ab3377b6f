import type { Argv } from 'yargs';
import type { PartialRows } from '../../data/partialRows.js';
import { KfdError } from '../../errors.js';
import type { FlowTarget } from '../../daam/target.js';
import type { Evaluation } from '../../faithfulness/evaluation.js';
import type { EvaluationModel } from '../../faithfulness/evaluationModel.js';
import type { EvaluationImage } from '../../faithfulness/imageFolder.js';
import type { ImageRow } from '../../faithfulness/imageRow.js';
import { METHODS, type Method } from '../../faithfulness/methods.js';
import {
  chooseNames,
  DEFAULT_METRIC_GROUPS,
  METRIC_GROUPS,
  metricsOf,
  type MetricGroup,
} from '../../faithfulness/metrics.js';
import type { EvaluationDocument, EvaluationSettings } from '../../faithfulness/resultFile.js';
import type { Engine } from '../../native/engine.js';
import { defineCommand } from '../command.js';
import { EXIT } from '../exitCodes.js';
import { addImageFolderOptions } from '../evaluationOptions.js';
import { interruptSignal } from '../interrupt.js';
import { addMachineOptions, checkInteger, createEngine } from '../machineOptions.js';
import { formatTable, writeJson, writeMessage, writeResult as printResult, writeWarning } from '../output.js';
import { startProgress } from '../progress.js';

function options(cli: Argv) {
  return addMachineOptions(
    addImageFolderOptions(cli)
      .positional('folder', {
        type: 'string',
        demandOption: true,
        describe: 'Images, with their masks beside them',
      })
      .option('model', {
        type: 'string',
        default: 'default',
        describe:
          'NAME.pt or NAME.kfd.json of a detector or vision transformer; default: the bundled detector',
      })
      .option('trust-model', {
        type: 'boolean',
        default: false,
        describe: 'Load a detector without a manifest (it is a program)',
      })
      .option('target', {
        type: 'string',
        describe: 'What is explained; default forgery for detectors, max for classifiers',
      })
      .option('methods', {
        type: 'string',
        describe: 'Names with commas between; default: all that have a meaning',
      })
      .option('metrics', {
        type: 'string',
        default: DEFAULT_METRIC_GROUPS.join(','),
        describe: `Out of ${METRIC_GROUPS.join(', ')}; or all`,
      })
      .option('faces', {
        choices: ['largest', 'whole'] as const,
        default: 'largest' as const,
        describe: 'Detectors: align the largest face; whole = the image is the face crop',
      })
      .option('steps', { type: 'number', default: 10, describe: 'Steps of the perturbation curves' })
      .option('out', {
        type: 'string',
        describe: 'Write rows and summary to this JSON file; an interrupted run resumes',
      })
      .option('csv', { type: 'boolean', default: false, describe: 'Also write the rows as CSV beside --out' })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'Print the summary as JSON, kfd.daam-eval/1',
      }),
  )
    .example(
      '$0 daam-eval forgeries --masks masks --out results.json',
      'where do the maps of the detector lie?',
    )
    .example(
      '$0 daam-eval photos --model deit.pt --metrics deletion,insertion --limit 50',
      'a classifier, without masks',
    )
    .epilogue('Layout of the folder, definitions and sources of the metrics: docs/daam-eval.md');
}

/** Draws of the bootstrap. */
const DRAWS = 2000;

type EvaluationArguments = Awaited<ReturnType<typeof options>['argv']>;

/** The arguments, checked before anything is loaded. */
interface Plan {
  methods: Method[] | undefined;
  metrics: MetricGroup[];
  needMasks: boolean;
}

const split = (text: string): string[] => text.split(',').map((name) => name.trim());

function planOf(args: EvaluationArguments): Plan {
  checkInteger('limit', args.limit, 1);
  checkInteger('seed', args.seed, 0);
  checkInteger('steps', args.steps, 3);
  if (args.csv && args.out === undefined) {
    throw new KfdError('ERR_KFD_USAGE', '--csv needs --out.', {
      hint: 'It is written beside it, with .csv.',
    });
  }
  const metrics = chooseNames('metrics', split(args.metrics), METRIC_GROUPS);
  const methods = args.methods === undefined ? undefined : split(args.methods);
  const chosen =
    methods === undefined || methods[0] === 'all' ? undefined : chooseNames('methods', methods, METHODS);
  const needMasks = metrics.includes('localisation') || (chosen?.includes('prior') ?? false);
  return { methods: chosen, metrics, needMasks };
}

/** Runs the evaluation, keeps what is done, and shows progress. */
async function collectRows(
  evaluation: Evaluation,
  images: readonly EvaluationImage[],
  partial: PartialRows<ImageRow> | undefined,
  quiet: boolean,
): Promise<ImageRow[]> {
  const found = new Map(partial?.rows.map((row) => [row.image, row]));
  if (found.size > 0) writeMessage(`${found.size} of ${images.length} images are there from an earlier run`);
  const bar = (label: string) => startProgress({ label, total: images.length, unit: 'files', quiet });
  let progress = bar('masks');
  let isLocating = true;
  try {
    for await (const row of evaluation.rows(new Set(found.keys()), (done) => progress.update(done))) {
      if (isLocating) {
        progress.stop();
        progress = bar('daam-eval');
        isLocating = false;
      }
      found.set(row.image, row);
      await partial?.add(row);
      if (row.error !== null) writeMessage(`failed: ${row.image}: ${row.error.message}`);
      if (row.status === 'no-face') writeMessage(`failed: ${row.image}: no face was found`);
      progress.update(found.size);
    }
  } finally {
    progress.stop();
  }
  return images.flatMap(({ name }) => found.get(name) ?? []);
}

/** Opens the folder before anything heavy, so that a wrong path is told at once. */
async function readImages(args: EvaluationArguments, plan: Plan): Promise<EvaluationImage[]> {
  const { readImageFolder } = await import('../../faithfulness/imageFolder.js');
  const { masks, groups, limit, seed } = args;
  return readImageFolder(args.folder, { masks, needMasks: plan.needMasks, groups, limit, seed });
}

async function loadModel(args: EvaluationArguments, engine: Engine): Promise<EvaluationModel> {
  const { EvaluationModel } = await import('../../faithfulness/evaluationModel.js');
  return EvaluationModel.load({
    engine,
    model: args.model === 'default' ? undefined : args.model,
    faceModel: args.faceModel,
    trust: args.trustModel,
    device: args.device,
  });
}

function settingsOf(
  args: EvaluationArguments,
  plan: Plan,
  model: EvaluationModel,
): Omit<EvaluationSettings, 'images' | 'target' | 'methods'> {
  const { folder, faces, steps, seed } = args;
  return {
    folder,
    metrics: plan.metrics,
    ...{ faces, steps, seed },
    groups: args.groups ?? null,
    masks: args.masks ?? null,
    model: { name: model.name, sha256: model.sha256, device: model.info.device },
  };
}

async function evaluateFolder(args: EvaluationArguments, plan: Plan): Promise<EvaluationDocument> {
  const images = await readImages(args, plan);
  const { readTarget, targetName } = await import('../../daam/target.js');
  const given = args.target === undefined ? undefined : await readTarget(args.target);
  const { Evaluation } = await import('../../faithfulness/evaluation.js');
  const { summarise } = await import('../../faithfulness/summary.js');
  const { PartialRows } = await import('../../data/partialRows.js');
  const { writeResult } = await import('../../faithfulness/resultFile.js');
  await using engine = await createEngine(args);
  const model = await loadModel(args, engine);
  const target: FlowTarget = given ?? { kind: model.isDetector ? 'forgery' : 'max' };
  const { faces, steps, seed } = args;
  const evaluation = new Evaluation(model, images, {
    target,
    ...plan,
    ...{ faces, steps, seed, concurrency: engine.threads.lanes, signal: interruptSignal },
  });
  const settings = {
    ...settingsOf(args, plan, model),
    target: targetName(target),
    methods: evaluation.methods,
  };
  const names = images.map(({ name }) => name);
  const partial =
    args.out === undefined
      ? undefined
      : await PartialRows.open<ImageRow>(args.out, {
          ...settings,
          images: names,
        } satisfies EvaluationSettings);
  const rows = await collectRows(evaluation, images, partial, args.quiet);
  const summary = summarise(rows, evaluation.methods, metricsOf(plan.metrics), { seed, draws: DRAWS });
  const document: EvaluationDocument = { schema: 'kfd.daam-eval/1', settings, summary, rows };
  if (args.out !== undefined)
    await writeResult(args.out, document, args.csv ? metricsOf(plan.metrics) : undefined);
  await partial?.discard();
  return document;
}

async function handler(args: EvaluationArguments): Promise<void> {
  const plan = planOf(args);
  const started = performance.now();
  const { schema, settings, summary } = await evaluateFolder(args, plan);
  if (args.json) {
    await writeJson({ schema, settings, summary }, true);
  } else {
    const { summaryRows, chanceLine } = await import('../../faithfulness/summaryTable.js');
    await printResult(formatTable(summaryRows(summary, metricsOf(plan.metrics))));
    await printResult(chanceLine(summary));
  }
  const failed = summary.images - summary.evaluated;
  if (failed > 0) {
    process.exitCode = EXIT.someInputsFailed;
    writeWarning(`${failed} of ${summary.images} images have no figures`);
  }
  if (args.quiet) return;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const groups = summary.groups === null ? 'each its own group' : `${summary.groups} groups`;
  writeMessage(
    `${summary.evaluated} images, ${groups}; target ${settings.target}; 95 % bootstrap intervals; ${seconds} s`,
  );
}

export const daamEvalCommand = defineCommand({
  command: 'daam-eval <folder>',
  describe: 'Measure how faithful maps are, over a folder of images with masks',
  builder: options,
  handler,
});
