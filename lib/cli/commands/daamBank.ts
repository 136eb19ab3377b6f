import path from 'node:path';
import { pMapIterable } from 'p-map';
import type { Argv } from 'yargs';
import { createMemoryBank, saveMemoryBank, type BankRow, type MemoryBank } from '../../daam/memoryBank.js';
import { KfdError, toKfdError } from '../../errors.js';
import { isFolder } from '../../setup/files.js';
import { defineCommand } from '../command.js';
import { collectInputs } from '../detectInputs.js';
import { EXIT } from '../exitCodes.js';
import { addFlowModelOptions, DEFAULT_MODEL, openFlowModel, type FlowModel } from '../flowModel.js';
import { interruptSignal } from '../interrupt.js';
import { writeFailure, writeResult } from '../output.js';
import { startProgress } from '../progress.js';

function options(cli: Argv) {
  return addFlowModelOptions(
    cli
      .positional('folder', {
        type: 'string',
        demandOption: true,
        describe: 'Images of one label, or a sub-folder a label',
      })
      .option('model', {
        type: 'string',
        default: DEFAULT_MODEL,
        describe: 'The network whose features are stored, NAME.pt or NAME.kfd.json',
      })
      .option('out', { type: 'string', demandOption: true, describe: 'The memory bank to write, BANK.npz' }),
  )
    .option('quiet', { alias: 'q', type: 'boolean', default: false, describe: 'No progress bar' })
    .example('$0 daam-bank photos --model dino.pt --out bank.npz', 'labels are the names of the sub-folders')
    .example('$0 daam photo.jpg --model dino.pt --target bank:bank.npz --out flow', 'and its use')
    .epilogue('What a memory bank is for: docs/daam.md');
}

type BankArguments = Awaited<ReturnType<typeof options>['argv']>;

/** The first folder below `folder`; '' for images that lie in it directly. */
function labelOf(folder: string, file: string): string {
  const parts = path.relative(folder, file).split(path.sep);
  return parts.length > 1 ? (parts[0] ?? '') : '';
}

interface Outcome {
  rows: BankRow[];
  failed: number;
}

async function featuresOf(args: BankArguments, model: FlowModel): Promise<Outcome> {
  const { inputs, total } = await collectInputs({
    paths: [args.folder],
    filesFrom: undefined,
    nullSeparated: false,
    recursive: true,
  });
  const progress = startProgress({ label: 'daam-bank', total, unit: 'files', quiet: args.quiet });
  const outcome: Outcome = { rows: [], failed: 0 };
  const concurrency = model.lanes + 1;
  const read = async (input: unknown) => {
    const file = String(input);
    try {
      return { file, features: await model.features(file, file, interruptSignal), error: undefined };
    } catch (thrown) {
      const error = toKfdError(thrown);
      if (error.code === 'ERR_KFD_ABORTED') throw error;
      return { file, features: [], error };
    }
  };
  let count = 0;
  try {
    for await (const { file, features, error } of pMapIterable(inputs, read, {
      concurrency,
      backpressure: concurrency,
    })) {
      if (features.length === 0) {
        outcome.failed += 1;
        writeFailure(error?.message ?? `${file}: no face was found`);
      }
      const name = labelOf(args.folder, file);
      outcome.rows.push(...features.map((feature) => ({ feature, name })));
      progress.update((count += 1));
    }
  } finally {
    progress.stop();
  }
  return outcome;
}

function describeBank({ features, names, labels }: MemoryBank): string {
  const [rows = 0, width = 0] = features.shape;
  const counts = names.map((name, label) => {
    const count = labels.filter((each) => each === label).length;
    return `${name === '' ? 'without a label' : name} ${count}`;
  });
  const shown = counts.length > 12 ? [...counts.slice(0, 12), `${counts.length - 12} more`] : counts;
  return `${rows} features of ${width} values; ${shown.join(', ')}`;
}

async function handler(args: BankArguments): Promise<void> {
  if (!(await isFolder(args.folder))) {
    throw new KfdError('ERR_KFD_FILE_NOT_FOUND', `Expected a folder of images but ${args.folder} is none.`, {
      hint: 'kfd-native daam-bank FOLDER --model FILE --out BANK.npz',
    });
  }
  const model = await openFlowModel(args);
  try {
    const { rows, failed } = await featuresOf(args, model);
    const bank = createMemoryBank(rows, model.identity);
    await saveMemoryBank(args.out, bank);
    await writeResult(`${args.out}: ${describeBank(bank)}`);
    if (failed > 0) process.exitCode = EXIT.someInputsFailed;
  } finally {
    await model.dispose();
  }
}

export const daamBankCommand = defineCommand({
  command: 'daam-bank <folder>',
  describe: 'Store the features of a folder of images for daam --target bank:FILE',
  builder: options,
  handler,
});
