import assert from 'node:assert/strict';
import sharp from 'sharp';
import { readImageHeader } from '../../lib/image/header.js';

const WIDTH = 301;
const HEIGHT = 77;

function picture() {
  const create = {
    width: WIDTH,
    height: HEIGHT,
    channels: 4,
    background: { r: 9, g: 99, b: 199, alpha: 0.5 },
  } as const;
  return sharp({ create });
}

describe('image: headers', () => {
  const encoded = {
    'JPEG, baseline': picture().jpeg(),
    'JPEG, progressive with EXIF': picture()
      .jpeg({ progressive: true })
      .withExif({ IFD0: { Artist: 'x'.repeat(3000) } }),
    PNG: picture().png(),
    GIF: picture().gif(),
    'WebP, lossy': picture().removeAlpha().webp(),
    'WebP, lossless': picture().removeAlpha().webp({ lossless: true }),
    'WebP, extended': picture().webp(),
  };
  for (const [name, image] of Object.entries(encoded)) {
    it(`reads the size of ${name}`, async () => {
      const bytes = await image.toBuffer();
      assert.deepEqual(readImageHeader(bytes)?.size, { width: WIDTH, height: HEIGHT });
      for (const length of [0, 1, 3, 5, 13, 20, 25, 29]) readImageHeader(bytes.subarray(0, length)); // never throws
    });
  }

  it('knows formats whose size only the decoder tells', async () => {
    assert.deepEqual(readImageHeader(await picture().tiff().toBuffer()), { format: 'tiff', size: undefined });
    assert.deepEqual(readImageHeader(await picture().avif().toBuffer()), { format: 'avif', size: undefined });
  });

  it('knows nothing else', () => {
    assert.equal(readImageHeader(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')), undefined);
    assert.equal(readImageHeader(Buffer.from('%PDF-1.7')), undefined);
  });
});
