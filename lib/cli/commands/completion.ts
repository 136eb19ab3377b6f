import type { Argv } from 'yargs';

/** `kfd-native completion` prints a script for bash or zsh; yargs answers its requests while one types. */
export function addCompletion(cli: Argv): Argv {
  return cli.completion('completion', 'Print a completion script: kfd-native completion >> ~/.bashrc');
}
