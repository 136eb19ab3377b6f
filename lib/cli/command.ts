import type { CommandModule } from 'yargs';

/** One command of `kfd-native`: a yargs module, with the commands below it if it is a group. */
export type Command = CommandModule & { subcommands?: readonly CommandModule[] };

/** Checks a command's handler against its own builder, then gives it the one type that the list of commands has. */
export function defineCommand<Args>(command: CommandModule<object, Args>): CommandModule {
  return command as unknown as CommandModule;
}
