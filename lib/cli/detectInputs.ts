import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { DEFAULT_MAX_BYTES } from '../image/decode.js';
import type { DetectInput } from '../kfd/stream.js';
import { isFolder } from '../setup/files.js';

/** Which files and pictures `detect` works on. */
export interface InputArguments {
  /** Files, folders, or `-` for one picture on stdin. */
  paths: readonly string[];
  /** A file with one path a line, or `-` for stdin. */
  filesFrom: string | undefined;
  /** The paths of `filesFrom` end with NUL bytes instead of newlines. */
  nullSeparated: boolean;
  /** Take the pictures of subfolders too. */
  recursive: boolean;
}

export interface DetectInputs {
  inputs: AsyncIterable<DetectInput>;
  /** Undefined while a list is still being read from a stream. */
  total: number | undefined;
}

const IMAGE_FILE = /\.(jpe?g|jfif|png|webp|gif|tiff?|avif|bmp)$/i;
export const STDIN = '-';

/**
 * yargs drops a lone `-` from a list of positional arguments: puts it back where it stood.
 *
 * @param inputs the positional arguments that yargs kept
 * @param argv the command line
 */
export function restoreDashes(inputs: readonly string[], argv: readonly string[]): string[] {
  const remaining = inputs.filter((input) => input !== STDIN);
  const restored: string[] = [];
  argv.forEach((argument, index) => {
    if (argument === STDIN && argv[index - 1] !== '--files-from') restored.push(STDIN);
    else if (remaining[0] === argument) restored.push(...remaining.splice(0, 1));
  });
  return [...restored, ...remaining];
}

/** The pictures of a folder by name, in code unit order; hidden files are left out. */
async function* listFolder(folder: string, recursive: boolean): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue;
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (recursive) yield* listFolder(file, true);
    } else if (IMAGE_FILE.test(entry.name)) {
      yield file;
    }
  }
}

interface Expansion {
  files: string[];
  /** A folder without pictures: it stays in the list and is reported like any other unusable input. */
  isEmptyFolder: boolean;
}

/** A folder becomes its pictures; anything else stays what it is, also when it does not exist (detect reports that). */
async function expand(given: string, recursive: boolean): Promise<Expansion> {
  if (given === STDIN || !(await isFolder(given))) return { files: [given], isEmptyFolder: false };
  const files: string[] = [];
  try {
    for await (const file of listFolder(given, recursive)) files.push(file);
  } catch {
    return { files: [given], isEmptyFolder: true }; // not readable: opening it will say why
  }
  return files.length > 0 ? { files, isEmptyFolder: false } : { files: [given], isEmptyFolder: true };
}

/** One picture from stdin, or as much of it as shows that it is too large. */
export async function readStdin(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > DEFAULT_MAX_BYTES) break; // decodeImage refuses it
  }
  return Buffer.concat(chunks);
}

/** Paths one by one from a file or stdin, so that a list without end works too. */
async function* readList(source: string, nullSeparated: boolean): AsyncGenerator<string> {
  const stream = source === STDIN ? process.stdin : createReadStream(source);
  const separator = nullSeparated ? '\0' : '\n';
  let rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split(separator);
      rest = parts.pop() ?? '';
      for (const part of parts) if (part !== '') yield nullSeparated ? part : part.replace(/\r$/, '');
    }
  } catch (cause) {
    const code =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'ERR_KFD_FILE_NOT_FOUND' : 'ERR_KFD_FILE_READ';
    throw new KfdError(code, `The list ${source} cannot be read: ${(cause as Error).message}`, { cause });
  }
  if (rest !== '') yield nullSeparated ? rest : rest.replace(/\r$/, '');
}

async function* stream(expanded: readonly string[], args: InputArguments): AsyncGenerator<DetectInput> {
  for (const file of expanded) {
    if (file === STDIN) yield { source: await readStdin(), path: STDIN };
    else yield file;
  }
  if (args.filesFrom === undefined) return;
  for await (const line of readList(args.filesFrom, args.nullSeparated)) {
    yield* (await expand(line, args.recursive)).files;
  }
}

/**
 * Expands folders and puts together what `detect` reads, in the order given.
 *
 * @throws KfdError ERR_KFD_NO_INPUT when nothing was given or only folders without pictures; ERR_KFD_USAGE when stdin is
 *   asked for twice
 */
export async function collectInputs(args: InputArguments): Promise<DetectInputs> {
  const stdinUses = args.paths.filter((given) => given === STDIN).length + (args.filesFrom === STDIN ? 1 : 0);
  if (stdinUses > 1) {
    throw new KfdError('ERR_KFD_USAGE', 'stdin can be read once only.', {
      hint: 'Give either - (one image) or --files-from - (a list).',
    });
  }
  const expansions: Expansion[] = [];
  for (const given of args.paths) expansions.push(await expand(given, args.recursive));
  const expanded = expansions.flatMap(({ files }) => files);
  if (args.filesFrom === undefined && expansions.every(({ isEmptyFolder }) => isEmptyFolder)) {
    const what = expanded.length === 0 ? 'Nothing was given' : `No images in ${expanded.join(', ')}`;
    throw new KfdError('ERR_KFD_NO_INPUT', `${what}; expected image files or folders.`, {
      hint: 'kfd-native detect photo.jpg; subfolders are searched with --recursive.',
    });
  }
  return {
    inputs: stream(expanded, args),
    total: args.filesFrom === undefined ? expanded.length : undefined,
  };
}
