import { KfdError } from '../../errors.js';
import { defineCommand } from '../command.js';
import { interruptSignal } from '../interrupt.js';
import { paint, writeJson, writeMessage } from '../output.js';
import { startProgress } from '../progress.js';
import type { SetupReporter } from '../../setup/reporter.js';

function consoleReporter(verbose: boolean, quiet: boolean): SetupReporter {
  return {
    note: (line) => {
      if (!quiet) writeMessage(`${paint('cyan', 'setup:', process.stderr)} ${line}`);
    },
    progress: (label, total) => startProgress({ label, total, unit: 'bytes', quiet }),
    toolOutput: (text) => {
      if (verbose) process.stderr.write(text);
    },
  };
}

function checkedJobs(jobs: number | undefined): number | undefined {
  if (jobs === undefined || (Number.isSafeInteger(jobs) && jobs >= 1)) return jobs;
  throw new KfdError('ERR_KFD_USAGE', `--jobs: expected an integer of at least 1, received ${jobs}`);
}

export const setupCommand = defineCommand({
  command: 'setup',
  describe: 'Find or fetch libtorch and what the explainer needs, build the addon, test it',
  builder: (cli) =>
    cli
      .option('libtorch', { type: 'string', describe: 'Use the libtorch in this folder and no other' })
      .option('from', {
        type: 'string',
        describe:
          'Take what it needs from this folder, or the torch wheel from this file, instead of fetching it',
      })
      .option('explainer', {
        type: 'boolean',
        default: true,
        describe: 'Also node-llama-cpp and the language model, for answers to questions; --no-explainer: not',
      })
      .option('offline', { type: 'boolean', default: false, describe: 'Fetch nothing' })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'Install and build again even if all is there',
      })
      .option('jobs', {
        type: 'number',
        describe: 'Compilers at once; default: 2, fewer if cores or memory are short',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the result as JSON, kfd.setup/1' })
      .option('verbose', {
        type: 'boolean',
        default: false,
        describe: 'Show what pip, npm and the compiler print',
      })
      .option('quiet', { type: 'boolean', default: false, describe: 'Show errors only' })
      .example('$0 setup', 'fetches libtorch (190 MB) unless there is one, and builds')
      .example('$0 setup --no-explainer', 'without node-llama-cpp (85 MB) and the language model (98 MB)')
      .example('$0 setup --offline --from FOLDER', 'without a network, from what was fetched elsewhere')
      .example('KFD_USE_PYTORCH=1 $0 setup', 'with the torch of your Python')
      .epilogue('What is looked for where, and where it goes: docs/setup.md'),
  handler: async (args) => {
    const { setup } = await import('../../setup/setup.js');
    const result = await setup({
      libtorch: args.libtorch,
      from: args.from,
      offline: args.offline,
      force: args.force,
      explainer: args.explainer,
      jobs: checkedJobs(args.jobs),
      reporter: consoleReporter(args.verbose, args.quiet),
      signal: interruptSignal,
    });
    if (args.json) await writeJson({ schema: 'kfd.setup/1', ...result }, true);
  },
});
