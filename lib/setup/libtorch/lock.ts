import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { packageRoot } from '../../native/config.js';

/** What may be downloaded, and nothing else: lib/setup/libtorch.lock.json. */
export interface LibtorchLock {
  /** Minor versions of torch that the engine's source is known to compile and run with. */
  supported: readonly string[];
  platforms: Readonly<Record<string, PlatformPins | undefined>>;
}

export interface PlatformPins {
  wheel: WheelPin;
  /** null: no official archive is pinned, so none is ever fetched (upstream publishes no checksums). */
  archive: ArchivePin | null;
}

export interface WheelPin {
  /** As pip wants it: `torch==2.13.0+cpu` */
  requirement: string;
  version: string;
  variant: string;
  file: string;
  bytes: number;
  sha256: string;
  /** pip's --python-version, --implementation, --platform: any Python 3 can fetch this wheel */
  python: string;
  implementation: string;
  tag: string;
  /** Package index for the second try, when pip's own configuration does not know the wheel. */
  index: string;
}

export interface ArchivePin {
  version: string;
  variant: string;
  file: string;
  bytes: number;
  sha256: string;
  url: string;
}

export async function readLock(): Promise<LibtorchLock> {
  const file = path.join(packageRoot(), 'lib', 'setup', 'libtorch.lock.json');
  return JSON.parse(await readFile(file, 'utf8')) as LibtorchLock;
}

/**
 * The pins for this machine.
 * @throws KfdError ERR_KFD_LIBTORCH_NOT_FOUND on a platform without any
 */
export function platformPins(lock: LibtorchLock): PlatformPins {
  const platform = `${process.platform}-${process.arch}`;
  const pins = lock.platforms[platform];
  if (pins !== undefined) return pins;
  throw new KfdError('ERR_KFD_LIBTORCH_NOT_FOUND', `No libtorch is pinned for ${platform}`, {
    hint: `Give one of your own with --libtorch DIR. Pinned: ${Object.keys(lock.platforms).join(', ')}.`,
  });
}
