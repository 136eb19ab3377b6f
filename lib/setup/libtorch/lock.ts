import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { packageRoot } from '../../native/config.js';
import type { PinnedWheel } from '../wheel.js';

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

export interface WheelPin extends PinnedWheel {
  version: string;
  variant: string;
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
