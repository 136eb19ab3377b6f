#!/usr/bin/env node
import yargs, { type Argv, type CommandModule } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { KfdError, toKfdError } from '../errors.js';
import { packageVersion } from '../native/config.js';
import type { Command } from './command.js';
import { addCompletion } from './commands/completion.js';
import { commands } from './commands/index.js';
import {
  checkConfigKeys,
  configuredValues,
  declaredOptions,
  readConfigFile,
  type OptionValues,
} from './config.js';
import { EXIT, exitCodeOf } from './exitCodes.js';
import { interruptExitCode, watchInterrupts } from './interrupt.js';
import { writeError } from './output.js';

/** The builder of a command as a function, whichever of the two forms it was written in. */
function build(command: CommandModule, cli: Argv): Argv {
  if (typeof command.builder !== 'function') return cli.options(command.builder ?? {});
  return command.builder(cli) as Argv;
}

/**
 * Refuses an option that is given twice: yargs would make an array of it. Read from the words themselves, since arrays
 * are also what positionals and options with several values become.
 */
function refuseRepeats(words: readonly string[], lists: readonly string[]): true {
  const seen = new Set<string>();
  const end = words.indexOf('--');
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const name = /^--([^=]+)/.exec(word)?.[1];
    if (name === undefined || lists.includes(name)) continue;
    if (seen.has(name)) {
      throw new KfdError('ERR_KFD_USAGE', `Expected --${name} once but it was given twice.`, {
        hint: 'Give each option once.',
      });
    }
    seen.add(name);
  }
  return true;
}

/** Lets a command's options also come from KFD_* variables and the configuration file; adds its subcommands. */
function withConfiguration(
  { subcommands = [], ...command }: Command,
  file: OptionValues,
  words: readonly string[],
): CommandModule {
  return {
    ...command,
    builder: (cli: Argv) => {
      const built = build(command, cli);
      if (subcommands.length > 0)
        built.command(subcommands.map((sub) => withConfiguration(sub, file, words)));
      return built
        .check(() => refuseRepeats(words, declaredOptions(built).array))
        .config(configuredValues(built, file));
    },
  };
}

function optionsOfAllCommands(): Set<string> {
  const every = commands.flatMap((command) => [command, ...(command.subcommands ?? [])]);
  return new Set(every.flatMap((command) => Object.keys(declaredOptions(build(command, yargs([]))).key)));
}

/** The value of --config, wanted before yargs parses the rest. */
function configFlag(args: readonly string[]): string | undefined {
  const parsed = yargs([...args])
    .help(false)
    .version(false)
    .exitProcess(false)
    .option('config', { type: 'string' })
    .parseSync();
  return parsed.config;
}

function createCli(args: readonly string[]): Argv {
  const file = readConfigFile(configFlag(args));
  if (Object.keys(file).length > 0) checkConfigKeys(file, optionsOfAllCommands());
  const cli = yargs([...args])
    .scriptName('kfd-native')
    .detectLocale(false) // messages are ours, in English, whatever LANG says
    .usage(
      '$0 <command>\n\nFace forgery detection with maps, attention flow (DAAM) and checked explanations, on libtorch.',
    )
    .command(commands.map((command) => withConfiguration(command, file, args)))
    .option('config', {
      type: 'string',
      global: true,
      describe: 'Configuration file; default kfd.config.json in the working folder, if it is there',
    })
    .strict()
    .recommendCommands()
    .demandCommand(1, 'Give a command.')
    .version(packageVersion())
    .alias('help', 'h')
    .exitProcess(false)
    .wrap(Math.min(110, process.stdout.columns || 110))
    .epilogue(
      'Options come from flags, then KFD_* variables, then kfd.config.json.\n' +
        'Guides: docs/setup.md, docs/detect.md, docs/explain.md, docs/daam.md; what an error means: docs/errors.md',
    )
    .fail((message: string | null, error: Error | undefined) => {
      if (error !== undefined) throw error;
      const said = (message ?? 'The arguments are not understood.').replaceAll('\n', '; ');
      throw new KfdError('ERR_KFD_USAGE', said.replace(/^Did you mean/, 'Unknown command: did you mean'), {
        hint: '`kfd-native --help` and `kfd-native COMMAND --help` list what there is.',
      });
    });
  return addCompletion(cli);
}

/** `--json` must be known even when the arguments cannot be parsed. */
function wantsJson(args: readonly string[]): boolean {
  return args.includes('--json') || args.includes('--jsonl');
}

async function main(args: readonly string[]): Promise<void> {
  watchInterrupts();
  try {
    await createCli(args).parseAsync();
  } catch (thrown) {
    const error = toKfdError(thrown);
    const interrupted = interruptExitCode();
    if (interrupted !== EXIT.ok) await writeError(error, wantsJson(args));
    process.exitCode = exitCodeOf(error.code);
  }
  const interrupted = interruptExitCode();
  if (interrupted !== undefined) process.exitCode = interrupted;
}

await main(hideBin(process.argv));
