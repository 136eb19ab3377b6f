import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, crc32 as zlibCrc32, createDeflate } from 'node:zlib';

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(zlibCrc32(body), body.length + 4);
  return out;
}

/** Writes a valid black RGB PNG of any size; a deflated zero row costs next to nothing. */
export async function writeHugePng(file: string, width: number, height: number): Promise<{ size: number }> {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bit, RGB
  const row = Buffer.alloc(1 + width * 3);
  function* rows() {
    for (let y = 0; y < height; y += 1) yield row;
  }
  const compressed: Buffer[] = [];
  const deflate = createDeflate({ level: 1, strategy: constants.Z_RLE });
  deflate.on('data', (part: Buffer) => compressed.push(part));
  await pipeline(Readable.from(rows()), deflate);
  await pipeline(
    Readable.from([
      Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
      chunk('IHDR', header),
      chunk('IDAT', Buffer.concat(compressed)),
      chunk('IEND', Buffer.alloc(0)),
    ]),
    createWriteStream(file),
  );
  return { size: (await stat(file)).size };
}
