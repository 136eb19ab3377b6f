import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Argv } from 'yargs';
import { KfdError } from '../errors.js';
import { optionVariables } from '../native/config.js';

/**
 * Options come from flags, then KFD_* variables, then kfd.config.json, then defaults. The file is data only: a flat
 * JSON object from option name to text, number, truth value or a list of these.
 */

export const CONFIG_FILE = 'kfd.config.json';

type Scalar = string | number | boolean;
export type OptionValues = Readonly<Record<string, Scalar | readonly Scalar[]>>;

/** What yargs knows about the options of one command (its `getOptions`, which its types do not list). */
interface DeclaredOptions {
  key: Readonly<Record<string, unknown>>;
  boolean: readonly string[];
  array: readonly string[];
}

export function declaredOptions(command: Argv): DeclaredOptions {
  return (command as Argv & { getOptions(): DeclaredOptions }).getOptions();
}

const isScalar = (value: unknown): value is Scalar => ['string', 'number', 'boolean'].includes(typeof value);

/**
 * Reads the configuration file: `explicit` (must exist), else kfd.config.json in the working folder (may be absent).
 * @throws KfdError ERR_KFD_USAGE
 */
export function readConfigFile(explicit: string | undefined): OptionValues {
  const file = path.resolve(explicit ?? CONFIG_FILE);
  if (explicit === undefined && !existsSync(file)) return {};
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new KfdError(
      'ERR_KFD_USAGE',
      `Cannot read the configuration ${file}: ${(error as Error).message}`,
      {
        cause: error,
        hint: 'It must be a JSON object such as {"lanes": 2}.',
      },
    );
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new KfdError(
      'ERR_KFD_USAGE',
      `${file}: expected a JSON object, received ${JSON.stringify(content)}`,
      {
        hint: 'It must be a JSON object such as {"lanes": 2}.',
      },
    );
  }
  for (const [name, value] of Object.entries(content)) {
    if (!isScalar(value) && !(Array.isArray(value) && value.every(isScalar))) {
      throw new KfdError(
        'ERR_KFD_USAGE',
        `${file}: "${name}": expected a text, a number, true, false or a list of these, received ${JSON.stringify(value)}`,
        { hint: 'The names are those of the options without the dashes.' },
      );
    }
  }
  return content as OptionValues;
}

/** Options that must be said each time, or whose variable another part reads under the same name. */
const NEVER_CONFIGURED: ReadonlySet<string> = new Set([
  'help',
  'version',
  'config',
  'force',
  'libtorch',
  'language-model',
  'question',
]);

function variableName(option: string): string {
  return `KFD_${option.replaceAll('-', '_').toUpperCase()}`;
}

function parseVariable(option: string, text: string, declared: DeclaredOptions): Scalar | string[] {
  if (declared.boolean.includes(option)) return !['0', 'false', 'no', 'off'].includes(text.toLowerCase());
  return declared.array.includes(option) ? text.split(',') : text;
}

/** The values for the options that this command declares: variables over file. */
export function configuredValues(command: Argv, file: OptionValues): OptionValues {
  const declared = declaredOptions(command);
  const variables = optionVariables();
  const values: Record<string, Scalar | readonly Scalar[]> = {};
  for (const option of Object.keys(declared.key)) {
    if (NEVER_CONFIGURED.has(option) || /[A-Z]/.test(option)) continue;
    const text = variables.get(variableName(option));
    const value = text === undefined ? file[option] : parseVariable(option, text, declared);
    if (value !== undefined) values[option] = value;
  }
  return values;
}

/**
 * A key that no command knows is a mistake that would otherwise go unnoticed.
 * @throws KfdError ERR_KFD_USAGE
 */
export function checkConfigKeys(file: OptionValues, known: ReadonlySet<string>): void {
  const unknown = Object.keys(file).find((name) => !known.has(name) || NEVER_CONFIGURED.has(name));
  if (unknown === undefined) return;
  throw new KfdError(
    'ERR_KFD_USAGE',
    `The configuration file has the key "${unknown}", which is no option of any command`,
    {
      hint: `The names are those of the options without the dashes; \`kfd-native COMMAND --help\` lists them.`,
    },
  );
}
