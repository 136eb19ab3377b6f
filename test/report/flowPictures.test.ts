import assert from 'node:assert/strict';
import sharp from 'sharp';
import { decodeImage } from '../../lib/image/decode.js';
import type { RgbImage } from '../../lib/image/rgbImage.js';
import { flowColorTable, type FlowColors } from '../../lib/report/flowColors.js';
import { flowGif } from '../../lib/report/flowGif.js';
import { flowPictures } from '../../lib/report/flowPictures.js';
import { scaleMap, scalesOf } from '../../lib/report/flowScale.js';
import { formatNumber, formatPercent, formatSigned, placeName } from '../../lib/report/flowWords.js';
import { sampleDocument, samplePicture } from './flowSample.js';

const rgbAt = ({ data, width }: RgbImage, x: number, y: number): number[] => [
  ...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
];

describe('flow: colour tables', () => {
  const entry = (name: FlowColors, index: number) => [
    ...flowColorTable(name).subarray(3 * index, 3 * index + 3),
  ];

  it('jet has the entries of the published pictures', () => {
    // read from OpenCV's COLORMAP_JET, as RGB
    const known: [number, number[]][] = [
      [0, [0, 0, 128]],
      [31, [0, 0, 252]],
      [32, [0, 0, 255]],
      [33, [0, 4, 255]],
      [95, [0, 252, 255]],
      [96, [2, 255, 254]],
      [127, [126, 255, 130]],
      [158, [250, 255, 6]],
      [159, [254, 255, 1]],
      [160, [255, 252, 0]],
      [223, [255, 0, 0]],
      [224, [252, 0, 0]],
      [255, [128, 0, 0]],
    ];
    for (const [index, color] of known) assert.deepEqual(entry('jet', index), color, `entry ${index}`);
  });

  it('diverging gets darker evenly and equally to both sides, blue below and red above zero', () => {
    const table = flowColorTable('diverging');
    const luminance = (index: number) => {
      const [r = 0, g = 0, b = 0] = entry('diverging', index).map((v) => (v / 255) ** 2.2);
      return Math.cbrt(0.2126 * r + 0.7152 * g + 0.0722 * b);
    };
    assert.equal(table.length, 768);
    for (let i = 0; i < 127; i += 1) {
      assert.ok(luminance(i) < luminance(i + 1) && luminance(255 - i) < luminance(254 - i), `step ${i}`);
      assert.ok(Math.abs(luminance(i) - luminance(255 - i)) < 0.09, `sides at ${i}`);
    }
    const [low = [], middle = [], high = []] = [0, 128, 255].map((index) => entry('diverging', index));
    assert.ok((low[2] ?? 0) > (low[0] ?? 0) + 80 && (high[0] ?? 0) > (high[2] ?? 0) + 80);
    assert.ok(middle.every((channel) => channel > 235));
  });
});

describe('flow: scales and words', () => {
  it('gives zeros, never NaN, for maps without mass, in every view and scale', () => {
    const [flow] = sampleDocument({ constant: 0 }).flows;
    assert.ok(flow);
    for (const view of ['accumulated', 'block', 'signed'] as const) {
      for (const scale of scalesOf(view)) {
        const { positions } = scaleMap(flow, { view, scale }, 3);
        assert.ok(
          positions.length === 256 &&
            positions.every((position) => position === (view === 'signed' ? 0.5 : 0)),
        );
      }
    }
  });

  it('offers the published renderings for accumulated maps only', () => {
    assert.deepEqual(scalesOf('accumulated'), ['common', 'own', 'linear', 'sigmoid']);
    assert.deepEqual(scalesOf('block'), ['common', 'own']);
    assert.deepEqual(scalesOf('signed'), ['common', 'own']);
  });

  it('writes numbers that people can read', () => {
    assert.deepEqual([0, 1.23456, 2790, -0.00456, 1e-7, 123456, NaN].map(formatNumber), [
      '0',
      '1.23',
      '2790',
      '\u22120.00456',
      '1.00e\u22127',
      '1.23e+5',
      '–',
    ]);
    assert.deepEqual([2, 0, -2].map(formatSigned), ['+2', '0', '\u22122']);
    assert.deepEqual(
      [0, 2e-6, 0.004, 0.0096, 0.5, 1].map((share) => formatPercent(share).replaceAll('\u00a0', ' ')),
      ['0 %', '< 0.1 %', '0.4 %', '1 %', '50 %', '100 %'],
    );
    assert.deepEqual(
      [
        [0.1, 0.1],
        [0.5, 0.5],
        [0.9, 0.5],
        [0.5, 0.9],
      ].map(([x = 0, y = 0]) => placeName(x, y)),
      ['upper left', 'centre', 'right side', 'lower centre'],
    );
  });
});

describe('flow: picture files', () => {
  it('paints one picture a block and a sheet of all', async () => {
    const document = sampleDocument({ grid: [10, 14], blocks: 8 });
    const flow = document.flows[0];
    assert.ok(flow);
    const pictures = await flowPictures(document, await samplePicture(document));
    assert.deepEqual(
      pictures.map(({ name }) => name),
      [...Array.from({ length: 8 }, (_, block) => `accumulated-0${block + 1}.png`), 'sheet.png'],
    );
    const ground = await decodeImage((await samplePicture(document)).png);
    const last = await decodeImage(pictures[7]?.png ?? new Uint8Array());
    assert.deepEqual([last.width, last.height], [448, 320]);
    const final = flow.accumulated[7] ?? [];
    const peak = Math.max(...final.flat());
    const [row, column] = [0, 1].map((axis) => {
      const index = final.flat().indexOf(peak);
      return axis === 0 ? Math.floor(index / 14) : index % 14;
    });
    assert.ok(row !== undefined && column !== undefined);
    const seen = rgbAt(last, 32 * column + 16, 32 * row + 16);
    const under = rgbAt(ground, 14 * column + 7, 14 * row + 7);
    const hot = [...flowColorTable('inferno').subarray(3 * 255)];
    hot.forEach((value, channel) => {
      const expected = 0.25 * (under[channel] ?? 0) + 0.75 * value;
      assert.ok(Math.abs((seen[channel] ?? 0) - expected) < 8, `peak, channel ${channel}: ${seen.join()}`);
    });
    const sheet = await decodeImage(pictures[8]?.png ?? new Uint8Array());
    assert.deepEqual([sheet.width, sheet.height], [6 * (224 + 6) + 6, 2 * (160 + 6) + 6]);
    assert.deepEqual(rgbAt(sheet, 3, 3), [255, 255, 255], 'white between the pictures');
    assert.deepEqual(rgbAt(sheet, 6 + 2 * 230, 6), [0, 0, 0], 'a number in the corner of each');
    assert.deepEqual(rgbAt(sheet, 6 + 2 * 230 + 4, 6 + 4), [255, 255, 255]);
    assert.deepEqual(
      rgbAt(sheet, sheet.width - 10, sheet.height - 10),
      [255, 255, 255],
      'four places stay free',
    );
  });

  it('makes a film with one frame a block, the last one longer', async () => {
    const document = sampleDocument({ blocks: 4, targets: ['max', 'logit:2'] });
    const picture = await samplePicture(document);
    const gif = await flowGif(document, picture, { colormap: 'jet', scale: 'sigmoid', flow: 1 });
    const { format, pages, pageHeight, width, delay, loop } = await sharp(gif, { animated: true }).metadata();
    assert.deepEqual([format, pages, width, pageHeight, loop], ['gif', 4, 448, 448, 0]);
    assert.deepEqual(delay, [1000, 1000, 1000, 2500]);
    const frame = async (page: number) => sharp(gif, { page }).removeAlpha().raw().toBuffer();
    const bar = async (page: number) => {
      const data = await frame(page);
      const row = Array.from({ length: 448 }, (_, x) => data[((448 - 3) * 448 + x) * 3] ?? 0);
      return row.filter((value) => value > 128).length;
    };
    for (const page of [0, 1, 2, 3])
      assert.ok(Math.abs((await bar(page)) - 112 * (page + 1)) <= 2, `bar of ${page}`);
  });

  it('refuses a flow that is not there, and shapes that do not fit', async () => {
    const document = sampleDocument({ blocks: 3 });
    const picture = await samplePicture(document);
    for (const make of [flowPictures, flowGif]) {
      await assert.rejects(make(document, picture, { flow: 1 }), {
        code: 'ERR_KFD_INVALID_ARGUMENT',
        message: 'flow: expected an index below 1 but received 1.',
      });
      await assert.rejects(make({ ...document, blocks: 4 }, picture), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    }
  });
});
