import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { KfdError } from '../../lib/errors.js';
import { decodeImage, type DecodeOptions } from '../../lib/image/decode.js';
import type { RgbImage } from '../../lib/image/rgbImage.js';
import { writeHugePng } from './hugePng.js';

const WIDTH = 48;
const HEIGHT = 32;

/** Left half red, right half blue, a green bar along the top: every orientation of it is different. */
function testPixels(): Buffer {
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const colour = y < 8 ? [20, 200, 40] : x < WIDTH / 2 ? [220, 30, 30] : [30, 40, 230];
      pixels.set(colour, (y * WIDTH + x) * 3);
    }
  }
  return pixels;
}

const picture = () => sharp(testPixels(), { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });

function pixelAt(image: RgbImage, x: number, y: number): number[] {
  const offset = (y * image.width + x) * 3;
  return [...image.data.subarray(offset, offset + 3)];
}

function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = '',
): void {
  assert.equal(actual.length, expected.length, what);
  let worst = 0;
  for (let index = 0; index < actual.length; index += 1) {
    worst = Math.max(worst, Math.abs((actual[index] ?? NaN) - (expected[index] ?? NaN)));
  }
  assert.ok(worst <= tolerance, `${what}: differs by ${worst}, allowed ${tolerance}`);
}

async function refused(source: string | Uint8Array, options: DecodeOptions = {}): Promise<KfdError> {
  try {
    await decodeImage(source, options);
  } catch (error) {
    assert.ok(error instanceof KfdError, String(error));
    return error;
  }
  return assert.fail('it was accepted');
}

describe('image: decoding', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-image-'));
  });
  after(() => rm(folder, { recursive: true }));

  for (const decoder of ['sharp', 'jimp'] as const) {
    describe(`by ${decoder}`, () => {
      it('keeps the pixels of a PNG exactly', async () => {
        const image = await decodeImage(await picture().png().toBuffer(), { decoder });
        assert.deepEqual([image.width, image.height, image.format], [WIDTH, HEIGHT, 'png']);
        assertNear(image.data, testPixels(), 0);
      });

      it('turns all eight EXIF orientations upright', async () => {
        // what libvips itself makes of a picture that is stored turned is the reference for both decoders
        for (let orientation = 1; orientation <= 8; orientation += 1) {
          const jpeg = await picture()
            .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
            .withMetadata({ orientation })
            .toBuffer();
          const image = await decodeImage(jpeg, { decoder });
          const turned = orientation >= 5;
          assert.deepEqual(
            [image.width, image.height],
            turned ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT],
            `orientation ${orientation}`,
          );
          // where the stored top-left corner (green) and the stored bottom-left corner (red) must end up
          const right = image.width - 3;
          const bottom = image.height - 3;
          const corners: Record<number, [number, number, number, number]> = {
            1: [2, 2, 2, bottom],
            2: [right, 2, right, bottom],
            3: [right, bottom, right, 2],
            4: [2, bottom, 2, 2],
            5: [2, 2, right, 2],
            6: [right, 2, 2, 2],
            7: [right, bottom, 2, bottom],
            8: [2, bottom, right, bottom],
          };
          const [greenX, greenY, redX, redY] = corners[orientation] ?? assert.fail();
          assertNear(pixelAt(image, greenX, greenY), [20, 200, 40], 12, `orientation ${orientation}, green`);
          assertNear(pixelAt(image, redX, redY), [220, 30, 30], 12, `orientation ${orientation}, red`);
        }
      });

      it('makes grey, 16-bit, palette and transparent pictures 8-bit RGB', async () => {
        const grey = await decodeImage(await picture().greyscale().png().toBuffer(), { decoder });
        const [r, g, b] = pixelAt(grey, 4, 20);
        assert.ok(r === g && g === b && grey.data.length === WIDTH * HEIGHT * 3);
        const deep = await decodeImage(await picture().toColourspace('rgb16').png().toBuffer(), { decoder });
        assertNear(deep.data, testPixels(), 1, '16 bit');
        const palette = await decodeImage(await picture().png({ palette: true, dither: 0 }).toBuffer(), {
          decoder,
        });
        assertNear(palette.data, testPixels(), 3, 'palette');
        const clear = await picture().ensureAlpha(0.5).png().toBuffer();
        assertNear(
          pixelAt(await decodeImage(clear, { decoder }), 4, 20),
          [110, 15, 15],
          1,
          'half transparent on black',
        );
      });

      it('refuses truncated JPEG and PNG files', async () => {
        const noise = sharp({
          create: {
            width: 300,
            height: 200,
            channels: 3,
            background: '#888',
            noise: { type: 'gaussian', mean: 128, sigma: 40 },
          },
        });
        for (const bytes of [await noise.clone().jpeg().toBuffer(), await noise.clone().png().toBuffer()]) {
          for (const share of [0.02, 0.5, 0.95]) {
            const error = await refused(bytes.subarray(0, Math.floor(bytes.length * share)), { decoder });
            assert.equal(error.code, 'ERR_KFD_IMAGE_DECODE');
            assert.match(error.message, /damaged or truncated/);
          }
        }
      });

      it('refuses a 300-megapixel PNG from its header, with flat memory', async () => {
        const bomb = path.join(folder, 'bomb.png');
        const { size } = await writeHugePng(bomb, 20_000, 15_000);
        assert.ok(size < 4e6, `the bomb is small (${size} bytes)`);
        const before = process.memoryUsage().rss;
        const error = await refused(bomb, { decoder });
        assert.equal(error.code, 'ERR_KFD_IMAGE_TOO_LARGE');
        assert.match(error.message, /20000 x 15000/);
        assert.ok(process.memoryUsage().rss - before < 50e6);
      });
    });
  }

  it('reads CMYK, WebP, GIF, TIFF and AVIF', async () => {
    const cmyk = await decodeImage(await picture().toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer());
    assert.equal(cmyk.data.length, WIDTH * HEIGHT * 3);
    const [red = 0, green = 255, blue = 255] = pixelAt(cmyk, 4, 20);
    assert.ok(red > 120 && green < 90 && blue < 90, 'red stays red');
    const encoded = {
      webp: picture().webp({ lossless: true }),
      gif: picture().gif(),
      tiff: picture().tiff({ compression: 'lzw' }),
      avif: picture().avif({ lossless: true }),
    };
    for (const [format, image] of Object.entries(encoded)) {
      const decoded = await decodeImage(await image.toBuffer());
      assert.equal(decoded.format, format);
      assertNear(decoded.data, testPixels(), format === 'gif' || format === 'avif' ? 6 : 0, format);
    }
  });

  it('takes the first frame of an animation', async () => {
    const frames = Buffer.concat([Buffer.alloc(8 * 8 * 3, 10), Buffer.alloc(8 * 8 * 3, 240)]);
    const gif = await sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } })
      .gif({ delay: [10, 10] })
      .toBuffer();
    assert.equal((await sharp(gif, { pages: -1 }).metadata()).pages, 2, 'the file really has two frames');
    for (const decoder of ['sharp', 'jimp'] as const) {
      const image = await decodeImage(gif, { decoder });
      assert.deepEqual([image.width, image.height], [8, 8]);
      assertNear(pixelAt(image, 4, 4), [10, 10, 10], 4, decoder);
    }
  });

  it('reads BMP, which only the fallback knows', async () => {
    const bmp = Buffer.alloc(54 + 2 * 8);
    bmp.write('BM', 0);
    bmp.writeUInt32LE(bmp.length, 2);
    bmp.writeUInt32LE(54, 10);
    bmp.writeUInt32LE(40, 14);
    bmp.writeInt32LE(2, 18);
    bmp.writeInt32LE(2, 22);
    bmp.writeUInt16LE(1, 26);
    bmp.writeUInt16LE(24, 28);
    bmp.set([1, 2, 3, 4, 5, 6], 54); // the bottom row, blue first
    const image = await decodeImage(bmp);
    assert.equal(image.format, 'bmp');
    assert.deepEqual(pixelAt(image, 0, 1), [3, 2, 1]);
    assert.equal((await refused(bmp, { decoder: 'sharp' })).code, 'ERR_KFD_IMAGE_DECODE');
  });

  it('gives the same picture by both decoders', async () => {
    const photograph = sharp(testPixels(), { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
      .resize(300, 200)
      .blur(2);
    const jpeg = await photograph.jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer();
    const [a, b] = await Promise.all([
      decodeImage(jpeg, { decoder: 'sharp' }),
      decodeImage(jpeg, { decoder: 'jimp' }),
    ]);
    assertNear(b.data, a.data, 4, 'JPEG by jimp');
  });

  it('takes raw pixels without copying, and flattens RGBA on black', async () => {
    const data = new Uint8Array(2 * 1 * 3).fill(9);
    const image = await decodeImage({ data, width: 2, height: 1 });
    assert.equal(image.data.buffer, data.buffer);
    const flattened = await decodeImage({
      data: new Uint8Array([200, 100, 50, 128]),
      width: 1,
      height: 1,
      channels: 4,
    });
    assert.deepEqual([...flattened.data], [100, 50, 25]);
    await assert.rejects(decodeImage({ data, width: 3, height: 1 }), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    for (const wrong of [undefined, null, 7, {}, new ArrayBuffer(9), { data: 'x', width: 1, height: 1 }]) {
      await assert.rejects(decodeImage(wrong as never), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    }
  });

  it('names what a file is that is no picture', async () => {
    const cases: [string, Buffer, RegExp][] = [
      ['empty.jpg', Buffer.alloc(0), /an empty file/],
      ['note.jpg', Buffer.from('just some words in a file'), /text \("just some words/],
      ['a.pdf', Buffer.from('%PDF-1.7 ...'), /PDF/],
      ['a.svg', Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'), /SVG/],
      ['a.heic', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0', 'latin1'), /HEIC/],
      ['a.mp4', Buffer.from('\0\0\0\x18ftypisom\0\0\0\0', 'latin1'), /video/],
      ['a.bin', Buffer.from([0, 1, 2, 3, 4]), /unknown data \(it starts with 00010203\)/],
    ];
    for (const [name, content, pattern] of cases) {
      const file = path.join(folder, name);
      await writeFile(file, content);
      const error = await refused(file);
      assert.equal(error.code, 'ERR_KFD_IMAGE_DECODE', name);
      assert.match(error.message, pattern);
      assert.ok(error.message.includes(file));
    }
  });

  it('distinguishes a missing file, a folder and a file that is too large', async () => {
    await mkdir(path.join(folder, 'album'));
    assert.equal((await refused(path.join(folder, 'none.jpg'))).code, 'ERR_KFD_FILE_NOT_FOUND');
    assert.equal((await refused(path.join(folder, 'album'))).code, 'ERR_KFD_FILE_READ');
    const png = await picture().png().toBuffer();
    assert.equal((await refused(png, { maxBytes: 10 })).code, 'ERR_KFD_IMAGE_TOO_LARGE');
    assert.equal((await refused(png, { maxPixels: 100 })).code, 'ERR_KFD_IMAGE_TOO_LARGE');
  });

  it('leaves the event loop free while the fallback decodes', async () => {
    const large = await sharp({
      create: {
        width: 2500,
        height: 2000,
        channels: 3,
        background: '#777',
        noise: { type: 'gaussian', mean: 128, sigma: 20 },
      },
    })
      .jpeg()
      .toBuffer();
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 5);
    const started = performance.now();
    await decodeImage(large, { decoder: 'jimp' });
    const elapsed = performance.now() - started;
    clearInterval(timer);
    assert.ok(elapsed > 100, 'the picture takes long enough to tell');
    assert.ok(ticks > elapsed / 20, `${ticks} timer ticks in ${elapsed.toFixed(0)} ms`);
  });
});
