import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { lastLines, runChild, type ChildResult } from '../child.js';
import { temporaryName } from '../files.js';
import type { SetupReporter } from '../reporter.js';
import type { WheelPin } from './lock.js';

export interface PipOptions {
  /** Python interpreter whose pip is used; any Python 3, whatever its version. */
  python: string;
  reporter: SetupReporter;
  signal?: AbortSignal | undefined;
}

const POLL_MS = 200;

async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    bytes += await stat(path.join(entry.parentPath, entry.name)).then(
      (found) => found.size,
      () => 0, // pip has just moved it
    );
  }
  return bytes;
}

function pipArguments(
  pin: WheelPin,
  requirements: string,
  folder: string,
  index: string | undefined,
): string[] {
  return [
    ...['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--no-cache-dir', '--no-input'],
    ...['--disable-pip-version-check', '--progress-bar', 'off', '--require-hashes'],
    ...['--python-version', pin.python, '--implementation', pin.implementation, '--platform', pin.tag],
    ...(index === undefined ? [] : ['--index-url', index]),
    ...['--dest', folder, '--requirement', requirements],
  ];
}

function failure(pin: WheelPin, child: ChildResult, python: string): KfdError {
  const text = child.stdout + child.stderr;
  if (text.includes('No module named pip')) {
    return new KfdError('ERR_KFD_TOOL_MISSING', `${python} has no pip`, {
      hint: 'On Debian or Ubuntu: `apt-get install python3-pip`; or name another interpreter with KFD_PYTHON.',
    });
  }
  if (/DO NOT MATCH THE HASHES/i.test(text)) {
    const received = /Got\s+([0-9a-f]{64})/.exec(text)?.[1] ?? 'another one';
    return new KfdError(
      'ERR_KFD_DIGEST',
      `${pin.file}: expected SHA-256 ${pin.sha256}, received ${received}`,
      {
        hint: 'The package index serves another file under this name. Do not use it; report it.',
      },
    );
  }
  return new KfdError('ERR_KFD_DOWNLOAD', `pip cannot fetch ${pin.requirement}:\n${lastLines(text, 5)}`, {
    hint:
      "Check the network and pip's configuration (`pip config list`), or fetch the wheel elsewhere and give it with " +
      '`kfd-native setup --from FILE`, or name a libtorch of your own with --libtorch DIR.',
  });
}

async function attempt(
  pin: WheelPin,
  work: string,
  index: string | undefined,
  options: PipOptions,
): Promise<ChildResult> {
  const requirements = path.join(work, 'requirements.txt');
  await writeFile(requirements, `${pin.requirement} --hash=sha256:${pin.sha256}\n`);
  const progress = options.reporter.progress('libtorch', pin.bytes);
  const poll = setInterval(() => void bytesBelow(work).then((bytes) => progress.update(bytes)), POLL_MS);
  try {
    // pip's temporary files go below `work` too: they show the progress, and nothing stays behind.
    return await runChild(options.python, pipArguments(pin, requirements, work, index), {
      environment: { TMPDIR: work },
      signal: options.signal,
      onOutput: (text) => options.reporter.toolOutput(text),
    });
  } finally {
    clearInterval(poll);
    progress.stop();
  }
}

/**
 * Fetches the pinned wheel with pip: with pip's own configuration first (mirrors, find-links), then from the pinned
 * index. pip itself refuses a file with another hash.
 * @param target where the wheel is put, by renaming, when it is complete
 * @throws KfdError ERR_KFD_DOWNLOAD, ERR_KFD_DIGEST, ERR_KFD_TOOL_MISSING, ERR_KFD_ABORTED
 */
export async function downloadWheel(pin: WheelPin, target: string, options: PipOptions): Promise<void> {
  const work = temporaryName(target);
  await mkdir(work, { mode: 0o700 });
  try {
    let child = await attempt(pin, work, undefined, options);
    let problem = child.code === 0 ? undefined : failure(pin, child, options.python);
    if (problem?.code === 'ERR_KFD_DOWNLOAD') {
      options.reporter.note(`pip's own configuration has no ${pin.requirement}; trying ${pin.index}`);
      child = await attempt(pin, work, pin.index, options);
      problem = child.code === 0 ? undefined : failure(pin, child, options.python);
    }
    if (problem !== undefined) throw problem;
    const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) {
      throw new KfdError('ERR_KFD_DOWNLOAD', `pip reports success but has written no wheel to ${work}`, {
        hint: 'Run again with --verbose and look at what pip prints.',
      });
    }
    await rename(path.join(work, wheel), target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
