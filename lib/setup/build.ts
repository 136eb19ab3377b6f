import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, freemem } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { KfdError } from '../errors.js';
import { packageRoot, packageVersion } from '../native/config.js';
import { addonState, buildFolder, buildInfoFile, hashSources, type BuildInfo } from './addonState.js';
import { lastLines, runChild } from './child.js';
import { writeTextFile } from './files.js';
import type { Libtorch } from './libtorch/types.js';
import type { LlamaHeaders } from './llama/headers.js';
import { withLock } from './lock.js';
import type { SetupReporter } from './reporter.js';
import { requireBuildTools } from './tools.js';

/** A compiler that includes torch's headers takes 1.1 GB (spec/engine.md 3). */
const BYTES_PER_JOB = 1.5e9;
const MAX_JOBS = 2;

/** Compilers at once: never more than cores, two, or what fits into free memory; at least one. */
export function compileJobs(cores = availableParallelism(), freeBytes = freemem()): number {
  return Math.max(1, Math.min(cores, MAX_JOBS, Math.floor(freeBytes / BYTES_PER_JOB)));
}

export interface BuildOptions {
  libtorch: Libtorch;
  /** Of llama.cpp, for the explainer; undefined: one that is built is kept, a new one is built without. */
  headers: LlamaHeaders | undefined;
  /** Build even if the addon is up to date, from an empty folder. */
  force: boolean;
  jobs?: number | undefined;
  reporter: SetupReporter;
  signal?: AbortSignal | undefined;
}

/** A folder configured for another libtorch cannot be reused: CMake remembers where it found Torch. */
async function isConfiguredFor(libtorch: Libtorch): Promise<boolean> {
  const cache = await readFile(path.join(buildFolder(), 'CMakeCache.txt'), 'utf8').catch(() => '');
  return cache.includes(`Torch_DIR:PATH=${libtorch.root}/share/cmake/Torch\n`);
}

type CmakeJsCommand = 'configure' | 'build';

function cmakeJsArguments(
  command: CmakeJsCommand,
  { libtorch, headers }: BuildOptions,
  jobs: number,
): string[] {
  const cmakeJs = fileURLToPath(import.meta.resolve('cmake-js/package.json'));
  return [
    ...[path.join(path.dirname(cmakeJs), 'bin', 'cmake-js'), command, '--target', 'kfd_native'],
    ...['--directory', packageRoot(), '--out', buildFolder(), '--parallel', String(jobs)],
    ...[`--CDCMAKE_PREFIX_PATH=${libtorch.root}`, `--CDTorch_DIR=${libtorch.root}/share/cmake/Torch`],
    // always given, since CMake remembers the last one (and cmake-js passes no empty values); with its type, since CMake
    // makes an absolute path of an untyped one
    `--CDKFD_LLAMA_INCLUDE:PATH=${headers?.folder ?? 'OFF'}`,
  ];
}

async function createBuildFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw new KfdError('ERR_KFD_FILE_WRITE', `Cannot create ${folder}: ${(error as Error).message}`, {
      cause: error,
      hint: 'The addon is built inside the package: run setup as the user who owns that folder.',
    });
  });
}

async function compile(options: BuildOptions, jobs: number): Promise<void> {
  const logFile = path.join(buildFolder(), 'build.log');
  const log = createWriteStream(logFile);
  let text = '';
  const onOutput = (piece: string): void => {
    text += piece;
    log.write(piece);
    options.reporter.toolOutput(piece);
  };
  try {
    // `build` alone does not configure a folder again whose options have changed
    let succeeded = true;
    for (const command of ['configure', 'build'] as const) {
      const child = await runChild(process.execPath, cmakeJsArguments(command, options, jobs), {
        cwd: packageRoot(),
        signal: options.signal,
        onOutput,
      });
      succeeded = child.code === 0;
      if (!succeeded) break;
    }
    if (succeeded) return;
  } finally {
    await new Promise((resolve) => log.end(resolve));
  }
  throw new KfdError('ERR_KFD_BUILD', `Building the addon failed:\n${lastLines(text, 40)}`, {
    hint: `The whole output is in ${logFile}. \`kfd-native doctor\` shows the tools that were used.`,
  });
}

/**
 * Compiles the addon with cmake-js against the given libtorch. What it was built with is recorded last, so that an
 * interrupted build is taken up again.
 * @returns whether anything was compiled
 * @throws KfdError ERR_KFD_TOOL_MISSING, ERR_KFD_BUILD, ERR_KFD_ABORTED
 */
export async function buildAddon(options: BuildOptions): Promise<boolean> {
  await createBuildFolder(path.dirname(buildFolder()));
  const lock = `${buildFolder()}.lock`;
  const onWait = (): void => options.reporter.note('another build is running, waiting for it');
  return withLock(lock, { signal: options.signal, onWait }, async () => {
    const before = await addonState();
    const sameLibtorch = before.info?.libtorch.root === options.libtorch.root;
    const { headers } = options;
    const llama = headers === undefined ? null : { include: headers.folder, release: headers.release };
    const sameLlama = llama === null || isDeepStrictEqual(before.info?.llama, llama);
    if (!options.force && before.state === 'current' && sameLibtorch && sameLlama) return false;
    const tools = await requireBuildTools();
    const sourceHash = await hashSources(); // of what is about to be compiled, whatever is edited meanwhile
    await rm(buildInfoFile(), { force: true });
    if (options.force || !(await isConfiguredFor(options.libtorch))) {
      await rm(buildFolder(), { recursive: true, force: true });
    }
    await createBuildFolder(buildFolder());
    const jobs = options.jobs ?? compileJobs();
    options.reporter.note(
      `building the addon with ${jobs} compiler${jobs === 1 ? '' : 's'} at once (minutes)`,
    );
    const started = performance.now();
    await compile(options, jobs);
    const { root, version, source } = options.libtorch;
    const info: BuildInfo = {
      schema: 'kfd.build/1',
      packageVersion: packageVersion(),
      sourceHash,
      libtorch: { root, version, source },
      llama,
      compiler: tools.find((tool) => tool.name === 'C++ compiler')?.version ?? '',
      seconds: Math.round((performance.now() - started) / 1000),
    };
    await writeTextFile(buildInfoFile(), `${JSON.stringify(info, null, 2)}\n`);
    return true;
  });
}
