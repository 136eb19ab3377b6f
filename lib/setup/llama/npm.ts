import { copyFile, cp, rm } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { packageRoot } from '../../native/config.js';
import { lastLines, runChild, type ChildResult } from '../child.js';
import { bytesBelow } from '../files.js';
import type { SetupReporter } from '../reporter.js';
import { requireNpm } from '../tools.js';

export interface NpmOptions {
  offline: boolean;
  /** A copy of an npm cache, made on another host: used instead of the network. */
  npmCache: string | undefined;
  reporter: SetupReporter;
  signal?: AbortSignal | undefined;
}

/** What npm unpacks, for the progress display. */
const INSTALLED_BYTES = 85e6;
const POLL_MS = 500;

function failure(child: ChildResult, options: NpmOptions): KfdError {
  const text = child.stdout + child.stderr;
  if (text.includes('EINTEGRITY')) {
    return new KfdError(
      'ERR_KFD_DIGEST',
      `npm received another file than the pinned one:\n${lastLines(text, 5)}`,
      {
        hint: 'The registry or the npm cache holds a changed file. Do not use it; report it.',
      },
    );
  }
  if (options.npmCache !== undefined || options.offline) {
    const where = options.npmCache ?? "npm's own cache";
    return new KfdError(
      'ERR_KFD_OFFLINE',
      `node-llama-cpp cannot be installed from ${where} without a network:\n${lastLines(text, 5)}`,
      {
        hint:
          'Fill an npm cache on another host (docs/setup.md) and give its folder with `--from DIR`, or set up ' +
          'without the explainer: --no-explainer.',
      },
    );
  }
  return new KfdError('ERR_KFD_DOWNLOAD', `npm cannot install node-llama-cpp:\n${lastLines(text, 8)}`, {
    hint:
      "Check the network and npm's configuration (`npm config list`), or name an installed node-llama-cpp with " +
      'KFD_NODE_LLAMA_CPP, or set up without the explainer: --no-explainer.',
  });
}

/**
 * Installs what the shipped package.json and package-lock.json name into an empty folder. npm checks each package
 * against the lock file's SHA-512; no install script of any package is run.
 * @throws KfdError ERR_KFD_TOOL_MISSING (no npm), ERR_KFD_DOWNLOAD, ERR_KFD_DIGEST, ERR_KFD_OFFLINE, ERR_KFD_ABORTED
 */
export async function installWithNpm(folder: string, options: NpmOptions): Promise<void> {
  const npm = await requireNpm();
  const shipped = path.join(packageRoot(), 'lib', 'setup', 'llama', 'npm');
  for (const name of ['package.json', 'package-lock.json'])
    await copyFile(path.join(shipped, name), path.join(folder, name));
  const args = ['ci', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--global=false'];
  const cache = path.join(folder, 'npm-cache');
  if (options.npmCache !== undefined) {
    await cp(options.npmCache, cache, { recursive: true }); // npm writes into it, and it may lie on a read-only disk
    args.push('--offline', '--cache', cache);
  } else if (options.offline) args.push('--offline');
  const progress = options.reporter.progress('node-llama-cpp', INSTALLED_BYTES);
  const installed = path.join(folder, 'node_modules');
  const poll = setInterval(() => void bytesBelow(installed).then((bytes) => progress.update(bytes)), POLL_MS);
  try {
    const child = await runChild(npm, args, {
      cwd: folder,
      signal: options.signal,
      onOutput: (text) => options.reporter.toolOutput(text),
    });
    if (child.code !== 0) throw failure(child, options);
  } finally {
    clearInterval(poll);
    progress.stop();
    await rm(cache, { recursive: true, force: true });
  }
}
