import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPromise, type Entry, type ZipFile } from 'yauzl';
import { KfdError, throwIfAborted } from '../../errors.js';
import { systemErrorCode } from '../files.js';

/** Of 30,000 files in the wheel these are what an addon needs: no Python, no tests (spec: 478 MB instead of 900). */
const LIBRARIES: ReadonlySet<string> = new Set([
  'libtorch.so',
  'libtorch_cpu.so',
  'libc10.so',
  'libgomp.so.1',
]);

/** The path below the libtorch root, or undefined for an entry that is not wanted. */
function wantedPath(entry: string, prefix: string): string | undefined {
  if (!entry.startsWith(prefix) || entry.endsWith('/')) return undefined;
  const inside = entry.slice(prefix.length);
  if (inside === 'version.py' || inside.startsWith('include/') || inside.startsWith('share/')) return inside;
  return inside.startsWith('lib/') && LIBRARIES.has(inside.slice('lib/'.length)) ? inside : undefined;
}

export interface UnpackOptions {
  /** Folder inside the zip that holds include/, lib/ and share/: `torch/` in a wheel, `libtorch/` in an archive. */
  prefix: string;
  signal?: AbortSignal | undefined;
  /** Called with the unpacked bytes so far. */
  onBytes?: (bytes: number) => void;
}

async function writeEntry(zip: ZipFile, entry: Entry, target: string): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  const source = await zip.openReadStreamPromise(entry);
  await pipeline(source, createWriteStream(target, { flags: 'wx', mode: 0o644 }));
}

/**
 * Unpacks include/, share/ and the four libraries of a torch wheel or archive into an empty folder. yauzl refuses names
 * that lead out of it and sizes that do not fit; the bytes themselves are checked by the caller, by SHA-256.
 * @returns number of files written
 * @throws KfdError ERR_KFD_DIGEST (no complete zip), ERR_KFD_FILE_WRITE (disk full ...), ERR_KFD_ABORTED
 */
export async function unpackLibtorch(
  archive: string,
  folder: string,
  options: UnpackOptions,
): Promise<number> {
  const damaged = (error: unknown): KfdError =>
    new KfdError('ERR_KFD_DIGEST', `${archive} cannot be unpacked: ${(error as Error).message}`, {
      cause: error,
      hint: 'The file is damaged or no wheel: fetch it again.',
    });
  const zip = await openPromise(archive, { autoClose: false, lazyEntries: true }).catch((error: unknown) => {
    throw damaged(error);
  });
  let files = 0;
  let bytes = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      throwIfAborted(options.signal);
      const inside = wantedPath(entry.fileName, options.prefix);
      if (inside === undefined) continue;
      await writeEntry(zip, entry, path.join(folder, inside)).catch((error: unknown) => {
        if (systemErrorCode(error) === undefined) throw damaged(error);
        throw new KfdError(
          'ERR_KFD_FILE_WRITE',
          `Cannot unpack into ${folder}: ${(error as Error).message}`,
          {
            cause: error,
            hint: 'About 500 MB are needed there; KFD_CACHE_DIR names another folder.',
          },
        );
      });
      files += 1;
      bytes += entry.uncompressedSize;
      options.onBytes?.(bytes);
    }
  } finally {
    zip.close();
  }
  if (files === 0) throw damaged(new Error(`it holds nothing under ${options.prefix}`));
  return files;
}
