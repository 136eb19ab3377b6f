import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { KfdError, throwIfAborted } from '../../errors.js';
import { temporaryName } from '../files.js';
import type { SetupReporter } from '../reporter.js';
import type { ArchivePin } from './lock.js';

/**
 * Fetches the official archive. It is called with a pin only: upstream publishes no checksums and has replaced files
 * under the same name, so nothing is fetched that the lock file does not name with its SHA-256 (checked by the caller).
 * @param target where the archive is put, by renaming, when it is complete
 * @throws KfdError ERR_KFD_DOWNLOAD, ERR_KFD_ABORTED
 */
export async function downloadArchive(
  pin: ArchivePin,
  target: string,
  reporter: SetupReporter,
  signal: AbortSignal | undefined,
): Promise<void> {
  const temporary = temporaryName(target);
  const progress = reporter.progress('libtorch', pin.bytes);
  let bytes = 0;
  try {
    const response = await fetch(pin.url, signal === undefined ? {} : { signal });
    if (!response.ok || response.body === null) throw new Error(`HTTP status ${response.status}`);
    const counted = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        bytes += chunk.length;
        if (bytes > pin.bytes) throw new Error(`more than the pinned ${pin.bytes} bytes`);
        progress.update(bytes);
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body), counted, createWriteStream(temporary, { flags: 'wx' }));
    await rename(temporary, target);
  } catch (error) {
    throwIfAborted(signal);
    throw new KfdError('ERR_KFD_DOWNLOAD', `Cannot fetch ${pin.url}: ${(error as Error).message}`, {
      cause: error,
      hint: 'Check the network, or give the file with `kfd-native setup --from FILE`.',
    });
  } finally {
    progress.stop();
    await rm(temporary, { force: true });
  }
}
