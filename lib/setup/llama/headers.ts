import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { publishCacheFolder } from '../cacheFolder.js';
import { lastLines, runChild, type ChildResult } from '../child.js';
import { digestFile } from '../digest.js';
import type { NodeLlamaPin } from '../explainerLock.js';
import { createPrivateFolder, isFile, systemErrorCode, temporaryName, writeTextFile } from '../files.js';
import type { SetupReporter } from '../reporter.js';
import { nodeLlamaCacheFolder } from './cache.js';
import type { NodeLlama } from './types.js';

/**
 * The C headers of llama.cpp, for compiling the addon. They come out of the bundle of llama.cpp's own repository that
 * node-llama-cpp carries, so that headers and libraries are always of the same release.
 */

/** Of the bundle's tree; put flat into one folder. */
const HEADERS = [
  'include/llama.h',
  'ggml/include/ggml.h',
  'ggml/include/ggml-alloc.h',
  'ggml/include/ggml-backend.h',
  'ggml/include/ggml-cpu.h',
  'ggml/include/ggml-opt.h',
  'ggml/include/gguf.h',
];

const SCHEMA = 'kfd.llama-headers/1';
const MANIFEST = 'headers.json';

interface HeadersManifest {
  schema: typeof SCHEMA;
  release: string;
  files: { name: string; sha256: string }[];
}

export interface LlamaHeaders {
  /** The value of the CMake variable KFD_LLAMA_INCLUDE. */
  folder: string;
  /** The llama.cpp release they belong to, such as `v0.5.0`. */
  release: string;
}

function headersFolder(cacheDirectory: string, pin: NodeLlamaPin): string {
  return path.join(nodeLlamaCacheFolder(cacheDirectory, pin), 'include');
}

/** The headers in the cache, compared with their hashes; or why there are none. */
export async function findHeaders(cacheDirectory: string, pin: NodeLlamaPin): Promise<LlamaHeaders | string> {
  const folder = headersFolder(cacheDirectory, pin);
  let manifest: Partial<HeadersManifest>;
  try {
    manifest = JSON.parse(await readFile(path.join(folder, MANIFEST), 'utf8')) as Partial<HeadersManifest>;
  } catch (error) {
    const unfinished = systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError;
    if (unfinished) return `${folder} does not exist or is unfinished`;
    throw error;
  }
  const { schema, release, files } = manifest;
  if (schema !== SCHEMA || files?.length !== HEADERS.length) return `${folder} was made by another version`;
  if (release !== pin.release)
    return `${folder}: expected llama.cpp ${pin.release}, received ${release ?? 'none'}`;
  for (const { name, sha256 } of files) {
    const file = path.join(folder, name);
    if (!(await isFile(file)) || (await digestFile(file)).sha256 !== sha256)
      return `${file} is missing or changed`;
  }
  return { folder, release };
}

/** git without the repository, the configuration and the hooks of whoever calls. */
async function git(args: readonly string[], signal: AbortSignal | undefined): Promise<ChildResult> {
  const child = await runChild('git', args, {
    signal,
    environment: {
      GIT_DIR: undefined,
      GIT_WORK_TREE: undefined,
      GIT_INDEX_FILE: undefined,
      GIT_OBJECT_DIRECTORY: undefined,
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
    },
  });
  if (child.code === 0) return child;
  throw new KfdError(
    'ERR_KFD_LLAMA_MISSING',
    `The headers of llama.cpp cannot be read out of node-llama-cpp: ${lastLines(child.stderr, 3)}`,
    { hint: 'The installation is damaged: run `npx kfd-native setup --force`.' },
  );
}

async function bundleOf(nodeLlama: NodeLlama, pin: NodeLlamaPin): Promise<string> {
  const sources = path.join(nodeLlama.folder, 'llama');
  const bundle = path.join(sources, 'gitRelease.bundle');
  const facts = await readFile(path.join(sources, 'llama.cpp.info.json'), 'utf8').catch(() => '{}');
  const { tag } = JSON.parse(facts) as { tag?: string };
  if (tag === pin.release && (await isFile(bundle))) return bundle;
  throw new KfdError(
    'ERR_KFD_LLAMA_MISSING',
    `${bundle}: expected the sources of llama.cpp ${pin.release}, received ${tag ?? 'nothing'}`,
    {
      hint: 'The installation is damaged: install the package again, or let `kfd-native setup` fetch its own.',
    },
  );
}

export interface HeadersOptions {
  cacheDirectory: string;
  pin: NodeLlamaPin;
  force: boolean;
  reporter: SetupReporter;
  signal?: AbortSignal | undefined;
}

/**
 * Puts the headers into the cache unless they are there. The caller holds the lock of the cache.
 * @throws KfdError ERR_KFD_LLAMA_MISSING (no or a damaged bundle), ERR_KFD_TOOL_MISSING (no git), ERR_KFD_ABORTED
 */
export async function setupHeaders(nodeLlama: NodeLlama, options: HeadersOptions): Promise<LlamaHeaders> {
  const { cacheDirectory, pin, signal } = options;
  const present = await findHeaders(cacheDirectory, pin);
  if (typeof present !== 'string' && !options.force) return present;
  const bundle = await bundleOf(nodeLlama, pin);
  options.reporter.note(`reading the headers of llama.cpp ${pin.release} out of node-llama-cpp`);
  const target = headersFolder(cacheDirectory, pin);
  await createPrivateFolder(path.dirname(target));
  const work = temporaryName(target);
  try {
    const repository = path.join(work, 'repository');
    const include = path.join(work, 'include');
    await mkdir(include, { recursive: true, mode: 0o700 });
    await git(['clone', '--quiet', '--bare', bundle, repository], signal);
    const files: HeadersManifest['files'] = [];
    for (const header of HEADERS) {
      const name = path.basename(header);
      const { stdout } = await git(['-C', repository, 'show', `HEAD:${header}`], signal);
      await writeFile(path.join(include, name), stdout);
      files.push({ name, sha256: (await digestFile(path.join(include, name))).sha256 });
    }
    const manifest: HeadersManifest = { schema: SCHEMA, release: pin.release, files };
    await writeTextFile(path.join(include, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    await publishCacheFolder(include, target);
    return { folder: target, release: pin.release };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
