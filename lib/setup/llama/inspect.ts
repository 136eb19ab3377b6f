import { readdir, readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { KfdError } from '../../errors.js';
import type { NodeLlamaPin } from '../explainerLock.js';
import { isFile, systemErrorCode } from '../files.js';
import type { LlamaBinaries, NodeLlama } from './types.js';

/** What a folder holds, read from its files; nothing of it is run. */
export type NodeLlamaFacts = Omit<NodeLlama, 'source' | 'why'>;

const ENTRY = path.join('dist', 'index.js');
/** `libllama.v0.5.0.so` for the processor, `libllama.cuda.v0.5.0.so` for a variant. */
const LIBRARY = /^libllama(?:\.([a-z]+))?\.v\d[\d.]*\.so$/;

function unusable(folder: string, problem: string): KfdError {
  return new KfdError('ERR_KFD_LLAMA_MISSING', `${folder} is no usable node-llama-cpp: ${problem}`, {
    hint: 'Expected is the folder of the installed npm package. `npx kfd-native setup` fetches one into the cache.',
  });
}

interface PackageFile {
  name?: unknown;
  version?: unknown;
}

async function readPackageFile(folder: string): Promise<PackageFile | undefined> {
  try {
    return JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as PackageFile;
  } catch (error) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '');
    if (missing || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

/** The binaries in one folder of a platform package's `bins`; undefined when it holds no libllama (extension packages). */
async function binariesIn(folder: string): Promise<LlamaBinaries | undefined> {
  for (const name of await namesIn(folder)) {
    const match = LIBRARY.exec(name);
    if (match === null) continue;
    const metadata = path.join(folder, '_nlcBuildMetadata.json');
    const text = await readFile(metadata, 'utf8').catch(() => '{}');
    const { buildOptions } = JSON.parse(text) as { buildOptions?: { llamaCpp?: { release?: string } } };
    return { folder, variant: match[1] ?? 'cpu', release: buildOptions?.llamaCpp?.release ?? 'unknown' };
  }
  return undefined;
}

/** npm puts the platform packages beside the package; a nested installation below it. */
async function findBinaries(folder: string, version: string): Promise<LlamaBinaries[]> {
  const platform = `${process.platform}-${process.arch}`;
  const found: LlamaBinaries[] = [];
  for (const scope of [path.join(folder, '..'), path.join(folder, 'node_modules')]) {
    const packages = path.join(scope, '@node-llama-cpp');
    for (const name of (await namesIn(packages)).sort()) {
      if (name !== platform && !name.startsWith(`${platform}-`)) continue;
      if ((await readPackageFile(path.join(packages, name)))?.version !== version) continue;
      const binaries = await binariesIn(path.join(packages, name, 'bins', name));
      const known = found.some(({ variant }) => variant === binaries?.variant);
      if (binaries !== undefined && !known) found.push(binaries);
    }
  }
  return found.sort((a, b) => Number(b.variant === 'cpu') - Number(a.variant === 'cpu'));
}

/** The package's folder from what people name: itself, a project that has it installed, or that project's node_modules. */
async function findPackage(folder: string): Promise<string | undefined> {
  const absolute = path.resolve(folder);
  const inside = path.join('node_modules', 'node-llama-cpp');
  for (const candidate of [absolute, path.join(absolute, inside), path.join(absolute, 'node-llama-cpp')]) {
    if ((await readPackageFile(candidate))?.name === 'node-llama-cpp') return realpath(candidate);
  }
  return undefined;
}

/**
 * Looks at an installed node-llama-cpp. Only the pinned version counts: the addon is compiled with the headers of its
 * llama.cpp, whose structures change between releases.
 * @throws KfdError ERR_KFD_LLAMA_MISSING (no package, no libraries for this machine), ERR_KFD_LLAMA_MISMATCH
 */
export async function inspectNodeLlama(folder: string, pin: NodeLlamaPin): Promise<NodeLlamaFacts> {
  const root = await findPackage(folder);
  if (root === undefined) throw unusable(folder, 'no package.json of that name');
  const version = (await readPackageFile(root))?.version;
  if (version !== pin.version) {
    throw new KfdError(
      'ERR_KFD_LLAMA_MISMATCH',
      `${root}: expected node-llama-cpp ${pin.version}, received ${String(version)}`,
      { hint: `Install exactly node-llama-cpp@${pin.version}, or let \`npx kfd-native setup\` do it.` },
    );
  }
  if (!(await isFile(path.join(root, ENTRY)))) throw unusable(root, `${ENTRY} is missing`);
  const binaries = await findBinaries(root, pin.version);
  const platform = `@node-llama-cpp/${process.platform}-${process.arch}`;
  if (binaries.length === 0)
    throw unusable(root, `no libraries: expected ${platform}@${pin.version} beside it`);
  for (const { folder: where, release } of binaries) {
    if (release === pin.release) continue;
    throw new KfdError(
      'ERR_KFD_LLAMA_MISMATCH',
      `${where}: expected libraries of llama.cpp ${pin.release}, received ${release}`,
      { hint: 'The installation is damaged or built by hand: install the package again.' },
    );
  }
  return { folder: root, version, entry: pathToFileURL(path.join(root, ENTRY)).href, binaries };
}
