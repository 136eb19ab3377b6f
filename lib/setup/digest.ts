import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { throwIfAborted } from '../errors.js';

export interface FileDigest {
  bytes: number;
  /** 64 lower-case hexadecimal digits */
  sha256: string;
}

export interface DigestOptions {
  signal?: AbortSignal | undefined;
  /** Called with the bytes read so far. */
  onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Size and SHA-256 of a file, read as a stream. Node's own errors (ENOENT, EISDIR ...) come through.
 * @throws KfdError ERR_KFD_ABORTED
 */
export async function digestFile(file: string, options: DigestOptions = {}): Promise<FileDigest> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    throwIfAborted(options.signal); // leaving the loop closes the file
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    options.onBytes?.(bytes);
  }
  return { bytes, sha256: hash.digest('hex') };
}
