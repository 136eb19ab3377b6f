import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { digestFile } from './digest.js';
import { systemErrorCode, writeTextFile } from './files.js';

/**
 * An installation of the managed cache is sealed by a manifest that is written last: a folder without one is an unfinished
 * installation and does not count.
 */
export interface Seal {
  schema: string;
  libraries: readonly SealedFile[];
}

/** A file with its hash; `path` from the folder that is sealed. */
export interface SealedFile {
  path: string;
  bytes: number;
  sha256: string;
}

const MANIFEST = 'manifest.json';

/** Digests of the files, in the order of their names. */
export async function digestFiles(folder: string, files: readonly string[]): Promise<SealedFile[]> {
  const sealed: SealedFile[] = [];
  for (const file of [...files].sort())
    sealed.push({ path: path.relative(folder, file), ...(await digestFile(file)) });
  return sealed;
}

export async function writeSeal(folder: string, seal: Seal): Promise<void> {
  await writeTextFile(path.join(folder, MANIFEST), `${JSON.stringify(seal, null, 2)}\n`);
}

/** The seal of a folder; undefined where there is none, or one of another schema. */
export async function readSeal<Kind extends Seal>(
  folder: string,
  schema: Kind['schema'],
): Promise<Kind | undefined> {
  try {
    const seal = JSON.parse(await readFile(path.join(folder, MANIFEST), 'utf8')) as { schema: unknown };
    return seal.schema === schema ? (seal as Kind) : undefined;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What is wrong with the sealed libraries; undefined when nothing is found. Sizes only unless `thorough`. */
export async function findLibraryDamage(
  folder: string,
  { libraries }: Seal,
  thorough: boolean,
): Promise<string | undefined> {
  for (const library of libraries) {
    const file = path.join(folder, library.path);
    const bytes = await stat(file).then(
      (found) => found.size,
      () => undefined,
    );
    if (bytes === undefined) return `${library.path} is missing`;
    if (bytes !== library.bytes) return `${library.path}: expected ${library.bytes} bytes, received ${bytes}`;
    if (!thorough) continue;
    const { sha256 } = await digestFile(file);
    if (sha256 !== library.sha256)
      return `${library.path}: expected SHA-256 ${library.sha256}, received ${sha256}`;
  }
  return undefined;
}
