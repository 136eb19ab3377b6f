import { pMapIterable } from 'p-map';
import type { Argv } from 'yargs';
import type { AttentionFlow } from '../../daam/attentionFlow.js';
import { COEFFICIENTS, ROWS } from '../../daam/options.js';
import { readTarget, type FlowTarget } from '../../daam/target.js';
import { KfdError, toKfdError, type ErrorCode } from '../../errors.js';
import type { DetectInput } from '../../kfd/stream.js';
import type { FloatArray } from '../../native/types.js';
import type { FlowFormat } from '../../report/flowFiles.js';
import { defineCommand } from '../command.js';
import { collectInputs, restoreDashes } from '../detectInputs.js';
import { EXIT } from '../exitCodes.js';
import {
  addFlowModelOptions,
  DEFAULT_MODEL,
  openFlowModel,
  type FlowCall,
  type FlowModel,
} from '../flowModel.js';
import { createFlowPrinter, type FlowPrinter } from '../flowPrinter.js';
import { interruptSignal } from '../interrupt.js';
import { writeFailure, writeMessage } from '../output.js';
import { startProgress } from '../progress.js';

const FORMATS: readonly string[] = ['html', 'png', 'gif', 'npz', 'json'] satisfies FlowFormat[];

function options(cli: Argv) {
  return addFlowModelOptions(
    cli
      .positional('inputs', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'Image files, folders of images, or - for one image on stdin',
      })
      .option('recursive', { alias: 'r', type: 'boolean', default: false, describe: 'Search subfolders too' })
      .option('model', {
        type: 'string',
        default: DEFAULT_MODEL,
        describe: 'Detector or vision transformer, NAME.pt or NAME.kfd.json; default = the bundled detector',
      })
      .option('target', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'What to explain, may be repeated: max, logit:K, difference:A,B, probability:K, log-probability:K, ' +
          'feature:W.npy, cosine:W.npy, bank:BANK.npz, forgery, class-token-forgery; default forgery or max',
      })
      .option('coefficients', {
        choices: COEFFICIENTS,
        default: 'gradient' as const,
        describe: 'How channels are weighted; direct = exact split',
      })
      .option('rows', {
        choices: ROWS,
        describe: 'Tokens whose attention is taken apart; default: what decides',
      })
      .option('per-head', {
        type: 'boolean',
        default: false,
        describe: 'Maps of every head, in json and npz',
      })
      .option('out', { type: 'string', describe: 'Write files into this folder' })
      .option('format', {
        type: 'string',
        describe: 'What to write with --out: html,png,gif,npz,json; default html',
      })
      .option('colormap', {
        choices: ['inferno', 'viridis', 'jet'] as const,
        default: 'inferno' as const,
        describe: 'Colours of png and gif; jet blends as published',
      })
      .option('scale', {
        choices: ['common', 'linear', 'sigmoid'] as const,
        default: 'common' as const,
        describe: 'Scale of png and gif: one for all blocks, or a published rendering',
      })
      .option('input-tensor', {
        type: 'string',
        describe: 'Explain this .npy (or `input` of this .npz), (B,3,H,W), normalised, instead of images',
      }),
  )
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'kfd.daam/1 on stdout; an array for several',
    })
    .option('quiet', {
      alias: 'q',
      type: 'boolean',
      default: false,
      describe: 'No progress bar and no summary',
    })
    .example('$0 daam photo.jpg --out flow', 'how the bundled detector came to its score, as a page')
    .example(
      '$0 daam photos -r --model vit.pt --target max --target difference:281,282 --out flow --format html,npz',
      'a vision transformer, two targets at once',
    )
    .example(
      '$0 daam --model vit.pt --input-tensor x.npy --coefficients direct --out flow --format npz',
      'arrays',
    )
    .epilogue('Guide, what the maps mean and do not mean, fields of JSON and npz: docs/daam.md');
}

type DaamArguments = Awaited<ReturnType<typeof options>['argv']>;

interface Job {
  args: DaamArguments;
  model: FlowModel;
  formats: readonly FlowFormat[];
  targets: readonly FlowTarget[] | undefined;
  printer: FlowPrinter;
}

function parseFormats({ format, out }: DaamArguments): FlowFormat[] {
  if (out === undefined) {
    if (format === undefined) return [];
    throw new KfdError('ERR_KFD_USAGE', 'Expected --out DIR with --format.', {
      hint: 'Give a folder to write into.',
    });
  }
  const wanted = [...new Set((format ?? 'html').split(',').map((each) => each.trim()))];
  const wrong = wanted.find((each) => !FORMATS.includes(each));
  if (wrong === undefined) return wanted as FlowFormat[];
  throw new KfdError(
    'ERR_KFD_USAGE',
    `Expected --format to be of ${FORMATS.join(', ')} but received ${JSON.stringify(wrong)}.`,
    { hint: 'Separate several by commas: --format html,npz' },
  );
}

function checkArguments(args: DaamArguments): void {
  const { inputs, inputTensor } = args;
  if (inputTensor !== undefined && inputs.length > 0) {
    throw new KfdError('ERR_KFD_USAGE', '--input-tensor takes no images.', {
      hint: 'Give either images or --input-tensor FILE.npy.',
    });
  }
  if (inputTensor === undefined && inputs.length === 0) {
    throw new KfdError('ERR_KFD_NO_INPUT', 'Nothing was given; expected image files or folders.', {
      hint: 'kfd-native daam photo.jpg --out flow',
    });
  }
}

function callFor({ args, formats, targets }: Job, path: string): FlowCall {
  return {
    path,
    pixels: formats.some((format) => ['html', 'png', 'gif'].includes(format)),
    ...(targets === undefined ? {} : { targets }),
    coefficients: args.coefficients,
    ...(args.rows === undefined ? {} : { rows: args.rows }),
    perHead: args.perHead,
    signal: interruptSignal,
  };
}

/** Gives every input a file name of its own, in the order of the inputs. */
function createNamer(): (name: string) => string {
  const used = new Map<string, number>();
  return (name) => {
    const count = (used.get(name) ?? 0) + 1;
    used.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  };
}

/** Writes the flows of one input: one, or one a face or image of a batch. */
async function writeFiles(
  { args, formats }: Job,
  flows: readonly AttentionFlow[],
  stem: string,
  part: string,
): Promise<string[][]> {
  if (args.out === undefined) return [];
  const { writeFlowArrays, writeFlowFiles } = await import('../../report/flowFiles.js');
  const isBatch = args.inputTensor !== undefined;
  const each = isBatch ? formats.filter((format) => format !== 'npz') : formats;
  const { colormap, scale } = args;
  const written: string[][] = [];
  for (const [index, flow] of flows.entries()) {
    const name = flows.length === 1 ? stem : `${stem}-${part}${index + 1}`;
    written.push(await writeFlowFiles(flow, args.out, { formats: each, name, colormap, scale }));
  }
  if (isBatch && formats.includes('npz'))
    written[0] = [...(written[0] ?? []), ...(await writeFlowArrays(flows, args.out, stem))];
  return written;
}

/** Prints and writes the flows of one input. */
async function deliver(
  job: Job,
  name: string,
  flows: readonly AttentionFlow[],
  stem: string,
  part: string,
  detailed: boolean,
): Promise<void> {
  const files = await writeFiles(job, flows, stem, part);
  for (const [index, flow] of flows.entries()) {
    const which = flows.length === 1 ? '' : `  ${part} ${index + 1} of ${flows.length}`;
    await job.printer.print(`${name}${which}`, flow, files[index] ?? [], detailed);
  }
}

interface Explained {
  name: string;
  flows: readonly AttentionFlow[];
  error: KfdError | undefined;
}

function noFace(name: string): KfdError {
  return new KfdError('ERR_KFD_NO_INPUT', `${name}: no face was found, so there is nothing to explain.`, {
    hint: 'Take --faces whole to use the whole image as the face crop.',
  });
}

/** These concern the request, the model or the process and not one image: there is no use in going on. */
const CONCERNS_THE_REQUEST: ReadonlySet<ErrorCode> = new Set([
  'ERR_KFD_ABORTED',
  'ERR_KFD_DISPOSED',
  'ERR_KFD_INVALID_ARGUMENT',
  'ERR_KFD_MODEL_MISMATCH',
  'ERR_KFD_MODEL_UNSUPPORTED',
]);

async function explain(job: Job, input: DetectInput): Promise<Explained> {
  const { source, path } =
    typeof input === 'object' && 'source' in input
      ? input
      : { source: input, path: typeof input === 'string' ? input : 'image' };
  try {
    const flows = await job.model.flows(source, callFor(job, path));
    return { name: path, flows, error: flows.length === 0 ? noFace(path) : undefined };
  } catch (thrown) {
    const error = toKfdError(thrown);
    if (CONCERNS_THE_REQUEST.has(error.code)) throw error;
    return { name: path, flows: [], error };
  }
}

interface Outcome {
  count: number;
  failed: number;
}

async function explainImages(job: Job): Promise<Outcome> {
  const { args, model, printer } = job;
  const { inputs, total } = await collectInputs({
    paths: args.inputs,
    filesFrom: undefined,
    nullSeparated: false,
    recursive: args.recursive,
  });
  const { fileStem } = await import('../../report/flowFiles.js');
  const uniqueName = createNamer();
  const progress = startProgress({ label: 'daam', total, unit: 'files', quiet: args.quiet });
  const outcome: Outcome = { count: 0, failed: 0 };
  const concurrency = model.lanes + 1;
  try {
    const explained = pMapIterable(inputs, (input) => explain(job, input), {
      concurrency,
      backpressure: concurrency,
    });
    for await (const { name, flows, error } of explained) {
      outcome.count += 1;
      if (error === undefined) {
        await deliver(job, name, flows, uniqueName(fileStem(name)), 'face', total === 1);
      } else {
        outcome.failed += 1;
        writeFailure(error.message);
        await printer.fail(name, error);
      }
      progress.update(outcome.count);
    }
  } finally {
    progress.stop();
  }
  return outcome;
}

async function readTensor(file: string): Promise<FloatArray> {
  const { readNpy, readNpzArray } = await import('../../data/npz.js');
  return file.endsWith('.npz') ? readNpzArray(file, 'input') : readNpy(file);
}

function sizeOf({ shape }: FloatArray): { width: number; height: number } | undefined {
  const [, , height = 0, width = 0] = shape;
  return shape.length === 4 && height > 0 && width > 0 ? { width, height } : undefined;
}

async function explainTensor(job: Job, file: string, tensor: FloatArray): Promise<Outcome> {
  const { fileStem } = await import('../../report/flowFiles.js');
  const flows = await job.model.tensorFlows(tensor, callFor(job, file));
  await deliver(job, file, flows, fileStem(file), 'image', flows.length === 1);
  return { count: flows.length, failed: 0 };
}

async function handler(parsed: DaamArguments): Promise<void> {
  const args = { ...parsed, inputs: restoreDashes(parsed.inputs, process.argv) };
  checkArguments(args);
  const formats = parseFormats(args);
  const targets = args.target === undefined ? undefined : await Promise.all(args.target.map(readTarget));
  const started = performance.now();
  const { inputTensor } = args;
  const tensor = inputTensor === undefined ? undefined : await readTensor(inputTensor);
  const model = await openFlowModel({ ...args, inputSize: tensor && sizeOf(tensor) });
  try {
    const printer = createFlowPrinter(args.json);
    const job: Job = { args, model, formats, targets, printer };
    const { count, failed } =
      inputTensor === undefined || tensor === undefined
        ? await explainImages(job)
        : await explainTensor(job, inputTensor, tensor);
    await printer.end();
    if (failed > 0) process.exitCode = EXIT.someInputsFailed;
    if (!args.quiet) {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      writeMessage(`${count} image${count === 1 ? '' : 's'}, ${failed} without a flow, ${seconds} s`);
    }
  } finally {
    await model.dispose();
  }
}

export const daamCommand = defineCommand({
  command: 'daam [inputs..]',
  describe: 'Show how a decision forms, block by block (attention flow)',
  builder: options,
  handler,
});
