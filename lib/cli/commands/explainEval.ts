import type { Argv } from 'yargs';
import type { PartialRows } from '../../data/partialRows.js';
import { KfdError } from '../../errors.js';
import type { ExaminedImage } from '../../explain/evaluation/examine.js';
import type { EvaluatedExplainer, ExplainEvaluation } from '../../explain/evaluation/explainEvaluation.js';
import { DEFAULT_MODES, MODE_NAMES, MODES, type Mode } from '../../explain/evaluation/modes.js';
import type { ParallelRow } from '../../explain/evaluation/parallel.js';
import type { ExplainEvalDocument, ExplainEvalSettings } from '../../explain/evaluation/resultDocument.js';
import type { FaceRow } from '../../explain/evaluation/rows.js';
import type { EvaluationImage } from '../../faithfulness/imageFolder.js';
import { chooseNames } from '../../faithfulness/metrics.js';
import type { Detector } from '../../kfd/detector.js';
import type { DetectorModel } from '../../kfd/detectorModel.js';
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
        describe: 'Images of faces, masks beside them where they are known',
      })
      .option('model', {
        type: 'string',
        default: 'default',
        describe: 'Detector, NAME.pt or NAME.kfd.json; default: the bundled one',
      })
      .option('explainer', { type: 'string', describe: 'Manifest of the prompts; default: the bundled one' })
      .option('language-model', {
        type: 'string',
        describe: 'GGUF file; default: the one that setup fetched',
      })
      .option('modes', {
        type: 'string',
        default: DEFAULT_MODES.join(','),
        describe: `Out of ${MODE_NAMES.join(', ')}; or all`,
      })
      .option('questions', {
        type: 'string',
        describe: 'Own questions, one a line, a blank line begins a new dialogue; default: drawn wordings',
      })
      .option('faces', {
        choices: ['largest', 'whole'] as const,
        default: 'largest' as const,
        describe: 'largest = align the largest face; whole = the image is the face crop, without regions',
      })
      .option('max-rounds', { type: 'number', default: 2, describe: 'Rounds an answer may take' })
      .option('threads', { type: 'number', default: 1, describe: 'Threads of the language model' })
      .option('parallel', {
        type: 'string',
        describe: 'Also hold dialogues side by side, such as 1,2,4, and tell the throughput',
      })
      .option('out', {
        type: 'string',
        describe: 'Write answers, figures and summary to this JSON file; an interrupted run resumes',
      })
      .option('answers', { type: 'string', describe: 'Write every answer as a JSON line, to be read' })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'Print the summary as JSON, kfd.explain-eval/1',
      }),
  )
    .example(
      '$0 explain-eval forgeries --out results.json',
      'are the explanations true, and do prompts matter?',
    )
    .example('$0 explain-eval photos --modes all --limit 20 --answers answers.jsonl', 'every way to answer')
    .epilogue('Questions, modes and figures: docs/explain-eval.md');
}

/** Draws of the bootstrap. */
const DRAWS = 2000;
/** Dialogues that --parallel holds: enough for the most that it is asked for, a few seconds each. */
const PARALLEL_DIALOGUES = 8;

type ExplainEvalArguments = Awaited<ReturnType<typeof options>['argv']>;

/** The arguments, checked before anything is loaded. */
interface Plan {
  modes: Mode[];
  parallel: number[] | undefined;
}

const split = (text: string): string[] => text.split(',').map((name) => name.trim());

function planOf(args: ExplainEvalArguments): Plan {
  checkInteger('limit', args.limit, 1);
  checkInteger('seed', args.seed, 0);
  checkInteger('max-rounds', args.maxRounds, 1);
  checkInteger('threads', args.threads, 1);
  const parallel = args.parallel === undefined ? undefined : split(args.parallel).map(Number);
  if (parallel?.some((count) => !Number.isSafeInteger(count) || count < 1)) {
    throw new KfdError(
      'ERR_KFD_USAGE',
      `Expected --parallel to be numbers from 1 on but received ${args.parallel ?? ''}.`,
      { hint: 'For example --parallel 1,2,4.' },
    );
  }
  return { modes: chooseNames('modes', split(args.modes), MODE_NAMES), parallel };
}

/**
 * Without prompts every answer would fall back to sentences, and the figures would be theirs.
 *
 * @throws KfdError ERR_KFD_MODEL_MISMATCH
 */
function checkPrompts({ modes }: Plan, detector: Detector): void {
  const needs = modes.find((mode) => MODES[mode].conditioning === 'prompts');
  if (needs === undefined || detector.info().explainer !== null) return;
  throw new KfdError(
    'ERR_KFD_MODEL_MISMATCH',
    `Mode ${needs} needs prompts, and there is no explainer that was trained for the detector ${detector.info().model.name}.`,
    { hint: 'Give --explainer NAME.kfd.json, or --modes text-only,sentences.' },
  );
}

async function loadExplainer(
  args: ExplainEvalArguments,
  mode: Mode,
  dialogues: number,
): Promise<EvaluatedExplainer> {
  const { Explainer } = await import('../../explain/explainer.js');
  const { languageModel, explainer, maxRounds, threads } = args;
  return Explainer.load({
    ...MODES[mode],
    ...{ maxRounds, threads, dialogues },
    ...(languageModel === undefined ? {} : { model: languageModel }),
    ...(explainer === undefined ? {} : { explainer }),
  });
}

/** Detects the faces of all images: every mode is asked about the same ones. */
async function examineImages(
  args: ExplainEvalArguments,
  images: readonly EvaluationImage[],
  engine: Engine,
  detector: Detector,
  model: DetectorModel,
): Promise<ExaminedImage[]> {
  const { examine } = await import('../../explain/evaluation/examine.js');
  const { MaskParts } = await import('../../explain/evaluation/maskParts.js');
  const masks = new MaskParts(engine, model);
  const progress = startProgress({ label: 'faces', total: images.length, unit: 'files', quiet: args.quiet });
  const examined: ExaminedImage[] = [];
  try {
    const signal = interruptSignal;
    for await (const image of examine(detector, images, {
      ...{ faces: args.faces, signal },
      maskParts: (mask, crop) => masks.read(mask, crop, signal),
    })) {
      examined.push(image);
      const { image: name, status, error } = image.facts;
      if (error !== null) writeMessage(`failed: ${name}: ${error.message}`);
      if (status === 'no-face') writeMessage(`failed: ${name}: no face was found`);
      progress.update(examined.length);
    }
  } finally {
    progress.stop();
  }
  return examined;
}

/** Runs the dialogues, keeps what is done, and shows progress. */
async function collectRows(
  evaluation: ExplainEvaluation,
  total: number,
  partial: PartialRows<FaceRow> | undefined,
  quiet: boolean,
): Promise<FaceRow[]> {
  const { rowKey } = await import('../../explain/evaluation/explainEvaluation.js');
  const found = new Map(partial?.rows.map((row) => [rowKey(row), row]));
  if (found.size > 0) writeMessage(`${found.size} of ${total} faces are there from an earlier run`);
  const progress = startProgress({ label: 'explain-eval', total, unit: 'files', quiet });
  try {
    for await (const row of evaluation.rows(new Set(found.keys()))) {
      found.set(rowKey(row), row);
      await partial?.add(row);
      progress.update(found.size);
    }
  } finally {
    progress.stop();
  }
  return [...found.values()];
}

async function holdSideBySide(
  args: ExplainEvalArguments,
  { modes, parallel }: Plan,
  examined: readonly ExaminedImage[],
  evaluation: ExplainEvaluation,
): Promise<ParallelRow[] | null> {
  const [mode] = modes;
  if (parallel === undefined || mode === undefined) return null;
  const { measureParallel } = await import('../../explain/evaluation/parallel.js');
  const planned = examined.flatMap(({ facts, face }) => {
    if (face === undefined) return [];
    return evaluation.scriptOf(facts.image, face).map((questions) => ({ face, questions }));
  });
  const load = (dialogues: number) => loadExplainer(args, mode, dialogues);
  return measureParallel(planned.slice(0, PARALLEL_DIALOGUES), parallel, load, interruptSignal);
}

function settingsOf(
  args: ExplainEvalArguments,
  { modes }: Plan,
  detector: Detector,
): Omit<ExplainEvalSettings, 'images'> {
  const { folder, faces, seed, maxRounds, threads } = args;
  const { model, explainer } = detector.info();
  return {
    ...{ folder, modes, faces, seed, maxRounds, threads },
    questions: args.questions ?? null,
    groups: args.groups ?? null,
    masks: args.masks ?? null,
    detector: { name: model.name, sha256: model.sha256, threshold: model.threshold },
    languageModel: args.languageModel ?? null,
    explainer: explainer?.sha256 ?? null,
  };
}

/** Opens folder and questions before anything heavy, so that a wrong path is told at once. */
async function readInputs(args: ExplainEvalArguments) {
  const { readImageFolder } = await import('../../faithfulness/imageFolder.js');
  const { readHeldOutWordings, readOwnQuestions } = await import('../../explain/evaluation/questions.js');
  const { masks, groups, limit, seed } = args;
  const images = await readImageFolder(args.folder, { masks, needMasks: false, groups, limit, seed });
  const questions =
    args.questions === undefined
      ? { wordings: await readHeldOutWordings(), seed }
      : { script: await readOwnQuestions(args.questions) };
  return { images, questions };
}

async function evaluateFolder(args: ExplainEvalArguments, plan: Plan): Promise<ExplainEvalDocument> {
  const { images, questions } = await readInputs(args);
  const { Detector } = await import('../../kfd/detector.js');
  const { resolveDetectorModel } = await import('../../kfd/detectorModel.js');
  const { ExplainEvaluation } = await import('../../explain/evaluation/explainEvaluation.js');
  const { PartialRows } = await import('../../data/partialRows.js');
  await using engine = await createEngine(args);
  const model = args.model === 'default' ? undefined : args.model;
  const { faceModel, device, explainer } = args;
  await using detector = await Detector.load({ engine, model, faceModel, device, explainer });
  checkPrompts(plan, detector);
  const regions = await resolveDetectorModel(model, false);
  const examined = await examineImages(args, images, engine, detector, regions);
  const evaluation = new ExplainEvaluation(examined, {
    ...{ modes: plan.modes, questions, signal: interruptSignal },
    load: (mode) => loadExplainer(args, mode, 1),
  });
  const settings = settingsOf(args, plan, detector);
  const names = images.map(({ name }) => name);
  const partial =
    args.out === undefined
      ? undefined
      : await PartialRows.open<FaceRow>(args.out, {
          ...settings,
          images: names,
        } satisfies ExplainEvalSettings);
  const total = plan.modes.length * examined.filter(({ face }) => face !== undefined).length;
  const rows = await collectRows(evaluation, total, partial, args.quiet);
  const parallel = await holdSideBySide(args, plan, examined, evaluation);
  const facts = examined.map((image) => image.facts);
  const document = await documentOf({ settings, facts, rows, parallel });
  await writeFiles(args, document);
  await partial?.discard();
  return document;
}

async function documentOf({
  settings,
  facts,
  rows,
  parallel,
}: {
  settings: Omit<ExplainEvalSettings, 'images'>;
  facts: ExplainEvalDocument['images'];
  rows: readonly FaceRow[];
  parallel: ExplainEvalDocument['parallel'];
}): Promise<ExplainEvalDocument> {
  const { summariseExplanations } = await import('../../explain/evaluation/summary.js');
  const { seed, modes } = settings;
  const summary = summariseExplanations(facts, rows, modes, { seed, draws: DRAWS });
  return { schema: 'kfd.explain-eval/1', settings, summary, parallel, images: facts, rows };
}

async function writeFiles(args: ExplainEvalArguments, document: ExplainEvalDocument): Promise<void> {
  const { answerLines, writeExplainResult } = await import('../../explain/evaluation/resultDocument.js');
  if (args.out !== undefined) await writeExplainResult(args.out, document);
  if (args.answers === undefined) return;
  const { writeFileAtomically } = await import('../../data/writeFileAtomically.js');
  await writeFileAtomically(args.answers, answerLines(document.rows, document.images));
}

async function printTables({ summary, parallel }: ExplainEvalDocument): Promise<void> {
  const { detectorLine, explainTable, kindTable } = await import('../../explain/evaluation/summaryTable.js');
  await printResult(formatTable(explainTable(summary)));
  await printResult(`\n${formatTable(kindTable(summary))}`);
  if (parallel !== null) {
    const { parallelTable } = await import('../../explain/evaluation/parallel.js');
    await printResult(`\n${formatTable(parallelTable(parallel))}`);
  }
  const line = detectorLine(summary);
  if (line !== undefined) await printResult(`\n${line}`);
}

async function handler(args: ExplainEvalArguments): Promise<void> {
  const plan = planOf(args);
  const started = performance.now();
  const document = await evaluateFolder(args, plan);
  const { schema, settings, summary, parallel } = document;
  if (args.json) await writeJson({ schema, settings, summary, parallel }, true);
  else await printTables(document);
  const failed = summary.images - summary.evaluated;
  if (failed > 0) {
    process.exitCode = EXIT.someInputsFailed;
    writeWarning(`${failed} of ${summary.images} images have no answers`);
  }
  if (args.quiet) return;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const { evaluated, fake, disagreements } = summary;
  writeMessage(
    `${evaluated} faces, ${fake} of them fake for the detector; 95 % bootstrap intervals by face or group; ` +
      `${disagreements.length} texts that checker and judge see differently; ${seconds} s`,
  );
}

export const explainEvalCommand = defineCommand({
  command: 'explain-eval <folder>',
  describe: 'Measure whether explanations are true, over a folder of images',
  builder: options,
  handler,
});
