import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { packageRoot } from '../../lib/native/config.js';
import { colorOffset, colorTable, type ColorMapName } from '../../lib/report/colorMap.js';
import {
  drawFaces,
  greyMap,
  maskInCrop,
  overlayOnCrop,
  overlayOnPhotograph,
} from '../../lib/report/overlay.js';
import { ReportWriter } from '../../lib/report/reportWriter.js';
import {
  detectedFace,
  facelessDetection,
  failedDetection,
  flatImage,
  quarterMap,
} from '../kfd/fakeDetection.js';

/** CIE lightness of an sRGB colour, 0 to 100. */
function lightness(r: number, g: number, b: number): number {
  const linear = [r, g, b].map((v) =>
    v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
  );
  const y = 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y;
}

const at = (data: Uint8Array, width: number, x: number, y: number) => [
  ...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
];

describe('report: colour maps', () => {
  for (const name of ['inferno', 'viridis'] as ColorMapName[]) {
    it(`${name} rises evenly in lightness`, () => {
      const table = colorTable(name);
      assert.equal(table.length, 768);
      const steps = Array.from({ length: 256 }, (_, i) =>
        lightness(table[3 * i] ?? 0, table[3 * i + 1] ?? 0, table[3 * i + 2] ?? 0),
      );
      const range = (steps[255] ?? 0) - (steps[0] ?? 0);
      assert.ok(range > 70);
      for (let i = 1; i < 256; i += 1) {
        const step = (steps[i] ?? 0) - (steps[i - 1] ?? 0);
        assert.ok(step > -0.05 && step < (3 * range) / 255, `step ${i}: ${step.toFixed(2)}`);
      }
    });

    it(`${name} is the table of the C++ core`, async () => {
      const source = await readFile(path.join(packageRoot(), 'binding/core/colormap.cpp'), 'utf8');
      const literal = new RegExp(`k${name}\\s*=([^;]*);`, 'i').exec(source)?.[1] ?? '';
      const hex = [...literal.matchAll(/"([0-9a-f]+)"/g)].map(([, part]) => part).join('');
      assert.equal(Buffer.from(colorTable(name)).toString('hex'), hex);
    });
  }

  it('clamps values', () => {
    assert.deepEqual([-1, 0, 0.5, 1, 7].map(colorOffset), [0, 0, 384, 765, 765]);
  });
});

describe('report: overlays', () => {
  const map = quarterMap([2, 0, 100, 0, 2, 50]);

  it('paints the map over the crop, stronger where it is high', () => {
    const image = overlayOnCrop(flatImage(224, 224, 100), map);
    const low = at(image.data, 224, 200, 200);
    const high = at(image.data, 224, 20, 20);
    assert.deepEqual(low, [85, 85, 86], '15 % of black over grey 100');
    assert.deepEqual(high, [214, 216, 148], '75 % of the brightest colour');
    assert.equal(at(greyMap(map).data, 224, 20, 20)[0], 255);
  });

  it('carries the map back to where the crop came from', () => {
    // a Buffer, because sharp gives one and its `slice` does not copy
    const photograph = { ...flatImage(700, 600, 100), data: Buffer.alloc(700 * 600 * 3, 100) };
    const full = overlayOnPhotograph(photograph, [map], 1);
    assert.deepEqual(at(full.data, 700, 99, 60), [100, 100, 100], 'left of the crop');
    assert.deepEqual(at(full.data, 700, 548, 60), [100, 100, 100], 'right of the crop');
    assert.deepEqual(at(full.data, 700, 101, 51), [214, 216, 148], 'its upper left');
    assert.deepEqual(at(full.data, 700, 547, 497), [85, 85, 86], 'its lower right');
    const half = overlayOnPhotograph(flatImage(350, 300, 100), [map], 0.5);
    assert.deepEqual(at(half.data, 350, 49, 60), [100, 100, 100]);
    assert.deepEqual(at(half.data, 350, 51, 26), [214, 216, 148]);
    assert.ok(
      photograph.data.every((value) => value === 100),
      'the picture itself is not touched',
    );
  });

  it('follows a turned crop', () => {
    // a quarter turn: crop x runs down the picture, crop y runs to the left
    const turned = overlayOnPhotograph(flatImage(400, 400, 100), [quarterMap([0, -1, 300, 1, 0, 50])], 1);
    assert.deepEqual(
      at(turned.data, 400, 290, 60),
      [214, 216, 148],
      'the upper left quarter is now on the right',
    );
    assert.deepEqual(at(turned.data, 400, 90, 60), [85, 85, 86]);
  });

  it('shows the true mask in the crop', () => {
    const mask = flatImage(700, 600, 0);
    for (let y = 60; y < 80; y += 1) mask.data.fill(255, (y * 700 + 120) * 3, (y * 700 + 140) * 3);
    const seen = maskInCrop(mask, map);
    assert.equal(at(seen.data, 224, 10, 5)[0], 255); // (120, 60) in the picture
    assert.equal(at(seen.data, 224, 9, 5)[0], 0);
    assert.equal(seen.data.filter((value) => value === 255).length, 10 * 10 * 3);
  });

  it('draws boxes and key points, also over the edge', () => {
    const drawn = drawFaces(
      flatImage(100, 80, 100),
      [
        {
          box: [-10, 10, 60, 40],
          keypoints: [
            [70, 60],
            [99.5, 0],
          ],
        },
      ],
      1,
    );
    assert.deepEqual(at(drawn.data, 100, 20, 10), [255, 255, 255]);
    assert.deepEqual(at(drawn.data, 100, 20, 8), [0, 0, 0]);
    assert.deepEqual(at(drawn.data, 100, 70, 60), [255, 255, 255]);
    assert.deepEqual(at(drawn.data, 100, 20, 30), [100, 100, 100]);
  });
});

describe('report: folder', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-report-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('writes pages without network, with escaped names and pictures beside them', async () => {
    const target = path.join(folder, 'a');
    const report = await ReportWriter.create(target, { notes: ['AUC 0.81 on <our> test'] });
    const evil = 'x"><img src=http://example.org/ onerror=alert(1)>.jpg';
    await report.add(detectedFace(evil, 0.97));
    await report.add(facelessDetection('nobody.jpg'));
    await report.add(failedDetection('broken.jpg'));
    await report.add(detectedFace('forged.jpg'), { trueMask: flatImage(600, 400, 255) });
    const page = await report.finish();
    assert.equal(page, path.join(target, 'report.html'));
    const html = await readFile(page, 'utf8');

    assert.ok(
      !html.includes('<img src=http') &&
        html.includes('&lt;img src=http://example.org/ onerror=alert(1)&gt;'),
    );
    const sources = [
      ...html.matchAll(/<(?:img|script|link|iframe|source)\b[^>]*?(?:src|href)="([^"]{0,40})/g),
    ];
    assert.ok(sources.length > 8);
    assert.ok(sources.every(([, source]) => source?.startsWith('data:image/')));
    assert.ok(!/<script|style="|url\(|@import/i.test(html));
    assert.match(html, /Content-Security-Policy" content="default-src 'none'; img-src data:/);
    assert.match(html, /FAKE: forgery score 0\.970, at or above the threshold 0\.5/);
    assert.match(html, /Standing out on the map: nose\. About 10\.0 % of the face is marked\./);
    assert.match(html, /Demonstration weights/);
    assert.match(html, new RegExp('ab'.repeat(32)));
    assert.match(html, /no face found, so no score/i);
    assert.match(html, /broken\.jpg is damaged/);
    assert.match(html, /True mask/);
    assert.match(html, /<li>AUC 0\.81 on &lt;our&gt; test<\/li>/);
    assert.ok([...html.matchAll(/<img /g)].length === [...html.matchAll(/<img [^>]*alt="[^"]+"/g)].length);
    for (const [, anchor] of html.matchAll(/href="#([^"]+)"/g))
      assert.ok(html.includes(`id="${anchor ?? ''}"`));

    const files = await readdir(target);
    assert.ok(
      files.every((name) => /^[\w.-]+$/.test(name)),
      files.join(' '),
    );
    const pictures = files.filter((name) => name.endsWith('.png'));
    assert.equal(pictures.length, 5 + 1 + 6);
    for (const name of pictures)
      assert.equal((await sharp(path.join(target, name)).metadata()).format, 'png');
  });

  it('splits many inputs over pages that link to each other', async () => {
    const target = path.join(folder, 'many');
    const report = await ReportWriter.create(target);
    for (let i = 0; i < 101; i += 1) await report.add(failedDetection(`${i}.jpg`));
    await report.finish();
    const [first, second] = await Promise.all(
      ['report.html', 'report-2.html'].map((name) => readFile(path.join(target, name), 'utf8')),
    );
    assert.ok(
      first?.includes('href="report-2.html"') && first.includes('99.jpg') && !first.includes('100.jpg'),
    );
    assert.ok(second?.includes('href="report.html"') && second.includes('100.jpg'));
  });

  it('shows nothing until it is finished, and leaves nothing when it is given up', async () => {
    const target = path.join(folder, 'given-up');
    const report = await ReportWriter.create(target);
    await report.add(detectedFace('a.jpg'));
    assert.ok(!(await readdir(folder)).includes('given-up'));
    await report.discard();
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('given-up')),
      [],
    );
    const empty = await ReportWriter.create(target);
    await assert.rejects(empty.finish(), { code: 'ERR_KFD_NO_INPUT' });
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('given-up')),
      [],
    );
  });

  it('replaces an earlier report whole, but no folder of somebody else', async () => {
    const target = path.join(folder, 'again');
    for (const names of [['a.jpg', 'b.jpg'], ['c.jpg']]) {
      const report = await ReportWriter.create(target);
      for (const name of names) await report.add(detectedFace(name));
      await report.finish();
    }
    const files = await readdir(target);
    assert.ok(files.some((name) => name.includes('-c-')) && !files.some((name) => name.includes('-a-')));

    const mine = path.join(folder, 'mine');
    await mkdir(mine);
    await writeFile(path.join(mine, 'letter.txt'), 'keep me');
    await assert.rejects(ReportWriter.create(mine), { code: 'ERR_KFD_FILE_WRITE' });
    assert.deepEqual(await readdir(mine), ['letter.txt']);
  });
});
