import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { lastLines, runChild, type ChildResult } from './child.js';
import { bytesBelow, temporaryName } from './files.js';
import type { SetupReporter } from './reporter.js';
import type { PinnedFile } from './pinnedFile.js';

/** A wheel that pip fetches. */
export interface PinnedWheel extends PinnedFile {
  /** As pip wants it: `torch==2.13.0+cpu` */
  requirement: string;
  /** pip's --python-version, --implementation, --platform: any Python 3 can fetch this wheel */
  python: string;
  implementation: string;
  tag: string;
  /** Package index for the second try, when pip's own configuration does not know the wheel; null: there is none. */
  index: string | null;
}

export interface PipOptions {
  /** What is fetched, for the progress display. */
  label: string;
  /** How to do without this download, the end of a sentence that starts with "Check the network". */
  alternative: string;
  /** Python interpreter whose pip is used; any Python 3, whatever its version. */
  python: string;
  reporter: SetupReporter;
  signal?: AbortSignal | undefined;
}

const POLL_MS = 200;

function pipArguments(
  pin: PinnedWheel,
  requirements: string,
  folder: string,
  index: string | null,
): string[] {
  return [
    ...['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--no-cache-dir', '--no-input'],
    ...['--disable-pip-version-check', '--progress-bar', 'off', '--require-hashes'],
    ...['--python-version', pin.python, '--implementation', pin.implementation, '--platform', pin.tag],
    ...(index === null ? [] : ['--index-url', index]),
    ...['--dest', folder, '--requirement', requirements],
  ];
}

function failure(pin: PinnedWheel, child: ChildResult, { python, alternative }: PipOptions): KfdError {
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
    hint: `Check the network and pip's configuration (\`pip config list\`), ${alternative}`,
  });
}

async function attempt(
  pin: PinnedWheel,
  work: string,
  index: string | null,
  options: PipOptions,
): Promise<ChildResult> {
  const requirements = path.join(work, 'requirements.txt');
  await writeFile(requirements, `${pin.requirement} --hash=sha256:${pin.sha256}\n`);
  const progress = options.reporter.progress(options.label, pin.bytes);
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
 * index if there is one. pip itself refuses a file with another hash.
 * @param target where the wheel is put, by renaming, when it is complete
 * @throws KfdError ERR_KFD_DOWNLOAD, ERR_KFD_DIGEST, ERR_KFD_TOOL_MISSING, ERR_KFD_ABORTED
 */
export async function downloadWheel(pin: PinnedWheel, target: string, options: PipOptions): Promise<void> {
  const work = temporaryName(target);
  await mkdir(work, { mode: 0o700 });
  try {
    let child = await attempt(pin, work, null, options);
    let problem = child.code === 0 ? undefined : failure(pin, child, options);
    if (problem?.code === 'ERR_KFD_DOWNLOAD' && pin.index !== null) {
      options.reporter.note(`pip's own configuration has no ${pin.requirement}; trying ${pin.index}`);
      child = await attempt(pin, work, pin.index, options);
      problem = child.code === 0 ? undefined : failure(pin, child, options);
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
