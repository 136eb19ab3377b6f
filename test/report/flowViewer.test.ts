import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import type { FlowDocument, FlowMaps, GridMap } from '../../lib/daam/flowDocument.js';
import { decodeImage } from '../../lib/image/decode.js';
import { flowColorTable, type FlowColors } from '../../lib/report/flowColors.js';
import { canvasPixels, describeInBrowser, inPage, textOf } from './flowBrowser.js';
import { sampleDocument, samplePicture } from './flowSample.js';

const flowAt = (document: FlowDocument, index = 0): FlowMaps => {
  const flow = document.flows[index];
  assert.ok(flow);
  return flow;
};

const setBlock = (page: Page, block: number) => page.locator('#block').fill(String(block + 1));

/** The colours that a table gives for positions, as RGB. */
function colorsOf(positions: readonly number[], colors: FlowColors): number[][] {
  const table = flowColorTable(colors);
  return positions.map((position) => {
    const entry = Math.round(255 * position);
    return [...table.subarray(3 * entry, 3 * entry + 3)];
  });
}

// Formulas written out again from spec/daam.md 1.6, not taken from the code under test.
const largest = (maps: readonly GridMap[]) => Math.max(...maps.flat(2));
const commonScale = (maps: readonly GridMap[], block: number) =>
  (maps[block] ?? []).flat().map((value) => value / largest(maps));
const ownScale = (map: GridMap) => map.flat().map((value) => value / Math.max(...map.flat()));
function signedScale(maps: readonly GridMap[], map: GridMap): number[] {
  const bound = Math.max(...maps.flat(2).map(Math.abs));
  return map.flat().map((value) => 0.5 + value / (2 * bound));
}
function linearScale(accumulated: readonly GridMap[], block: number): number[] {
  const [map, final] = [(accumulated[block] ?? []).flat(), (accumulated.at(-1) ?? []).flat()];
  const [low, high] = [Math.min(...final), Math.max(...final)];
  const ratio = (Math.max(...map) - Math.min(...map)) / (high - low);
  return map.map((value) => {
    const v = Math.max((value - low) / (Math.max(...map) - low + 1e-10), 0);
    return Math.min(255, Math.trunc(255 * ratio * v)) / 255;
  });
}
function sigmoidScale(accumulated: readonly GridMap[], block: number): number[] {
  const high = largest(accumulated.slice(-1));
  const y = (accumulated[block] ?? []).flat().map((value) => 1 / (1 + Math.exp(-5 * (value / high))) - 0.5);
  const [low, top] = [Math.min(...y), Math.max(...y)];
  return y.map((value) => Math.trunc((255 * (value - low)) / (top - low)) / 255);
}

/** Centres of all cells, row by row. */
function cellCentres([height, width]: readonly [number, number]): [number, number][] {
  return Array.from({ length: height * width }, (_, index) => [
    ((index % width) + 0.5) / width,
    (Math.floor(index / width) + 0.5) / height,
  ]);
}

describeInBrowser('flow viewer: pixels are the numbers', (tester) => {
  for (const [grid, blocks] of [
    [[16, 16], 12],
    [[10, 14], 24],
  ] as const) {
    it(`every cell of a ${grid.join(' x ')} grid, in every view, scale and colour map`, async () => {
      const document = sampleDocument({ grid, blocks });
      const { accumulated, block_maps, signed } = flowAt(document);
      const { page } = await tester().open(document);
      await page.uncheck('#fade');
      const centres = cellCentres(grid);
      const check = async (positions: readonly number[], colors: FlowColors, what: string) => {
        const seen = await canvasPixels(page, '#overlay', centres);
        assert.deepEqual(
          seen.map((pixel) => pixel.slice(0, 3)),
          colorsOf(positions, colors),
          what,
        );
        assert.ok(
          seen.every((pixel) => pixel[3] === 255),
          `${what}: opaque`,
        );
      };
      for (const block of [Math.floor(blocks / 2), blocks - 1]) {
        await setBlock(page, block);
        await page.check('input[value=accumulated]');
        for (const colors of ['inferno', 'viridis', 'jet'] as const) {
          await page.selectOption('#colors', colors);
          await check(commonScale(accumulated, block), colors, `accumulated, common, ${colors}, ${block}`);
        }
        await page.selectOption('#scale', 'linear');
        await check(linearScale(accumulated, block), 'jet', `linear, ${block}`);
        await page.selectOption('#scale', 'sigmoid');
        await check(sigmoidScale(accumulated, block), 'jet', `sigmoid, ${block}`);
        await page.check('input[value=block]');
        await check(
          commonScale(block_maps, block),
          'jet',
          `block, ${block}: a rendering of sums does not fit`,
        );
        await page.selectOption('#scale', 'own');
        await check(ownScale(block_maps[block] ?? []), 'jet', `block, own, ${block}`);
        await page.check('input[value=signed]');
        await page.selectOption('#scale', 'common');
        await check(signedScale(signed, signed[block] ?? []), 'diverging', `signed, ${block}`);
      }
    });
  }

  it('interpolates between cell centres when asked to, and fades where the map is low', async () => {
    const document = sampleDocument();
    const { accumulated } = flowAt(document);
    const { page } = await tester().open(document);
    const positions = commonScale(accumulated, 11);
    const hot = positions.indexOf(1);
    const [row, column] = [Math.floor(hot / 16), hot % 16];
    const table = flowColorTable('inferno');
    const alpha = await canvasPixels(page, '#overlay', cellCentres([16, 16]));
    positions.forEach((position, cell) => {
      assert.equal(
        alpha[cell]?.[3],
        Math.round(255 * (0.15 + 0.85 * (1 - (1 - Math.round(255 * position) / 255) ** 2))),
        `alpha of cell ${cell}`,
      );
    });
    await page.uncheck('#fade');
    await page.check('#smooth');
    const between: [number, number][] = [[(column + 1) / 16, (row + 0.5) / 16]];
    const [pixel = []] = await canvasPixels(page, '#overlay', between);
    const mean = (1 + (positions[hot + 1] ?? 0)) / 2;
    const nearest = Array.from({ length: 256 }, (_, entry) =>
      Math.hypot(...[0, 1, 2].map((c) => (table[3 * entry + c] ?? 0) - (pixel[c] ?? 0))),
    );
    const entry = nearest.indexOf(Math.min(...nearest));
    assert.ok(Math.abs(entry / 255 - mean) < 0.03, `${entry / 255} is not half way, ${mean}`);
    await page.locator('#opacity').fill('40');
    assert.equal(await inPage(page, "document.querySelector('#overlay').style.opacity"), '0.4');
  });

  it('shows one attention head alone where the document has them', async () => {
    const document = sampleDocument({ heads: 3 });
    const { heads } = flowAt(document);
    assert.ok(heads);
    const { page } = await tester().open(document);
    assert.equal(await page.isVisible('#head'), false, 'sums over blocks are not kept by head');
    await page.uncheck('#fade');
    await page.check('input[value=block]');
    await page.selectOption('#head', 'Head 2');
    await setBlock(page, 7);
    const maps = heads.map((block) => block[1] ?? []);
    const seen = await canvasPixels(page, '#overlay', cellCentres([16, 16]));
    assert.deepEqual(
      seen.map((pixel) => pixel.slice(0, 3)),
      colorsOf(commonScale(maps, 7), 'inferno'),
    );
    assert.match((await page.getAttribute('#overlay', 'aria-label')) ?? '', /^Head 2\. Map of block 8/);
    await page.check('input[value=accumulated]');
    await page.check('input[value=block]');
    assert.equal(await inPage(page, "document.querySelector('#head').selectedIndex"), 0);
  });

  it('writes the numbers of the scale under the colour bar', async () => {
    const document = sampleDocument();
    const { accumulated, signed } = flowAt(document);
    const { page } = await tester().open(document);
    const ticks = () =>
      inPage<string[]>(page, "[...document.querySelectorAll('#ticks span')].map((s) => s.textContent)");
    const high = largest(accumulated);
    assert.deepEqual(
      (await ticks()).map(Number).map((value) => value.toPrecision(3)),
      [0, 0.25, 0.5, 0.75, 1]
        .map((share) => (share * high).toPrecision(3))
        .map((text) => Number(text).toPrecision(3)),
    );
    const bar = await canvasPixels(page, '#bar', [
      [0, 0],
      [0.5, 0],
      [0.999, 0],
    ]);
    assert.deepEqual(
      bar.map((pixel) => pixel.slice(0, 3)),
      colorsOf([0, 128 / 255, 1], 'inferno'),
    );
    await page.selectOption('#scale', 'sigmoid');
    assert.deepEqual(await ticks(), ['0', '64', '128', '191', '255']);
    assert.match(await textOf(page, '#scale-note'), /blocks cannot be compared/);
    await page.check('input[value=signed]');
    const bound = Math.max(...signed.flat(2).map(Math.abs)).toPrecision(3);
    const [low = '', , middle, , top] = await ticks();
    assert.deepEqual([low.replace('\u2212', '-'), middle, top], [`-${bound}`, '0', bound]);
  });

  it('shows all blocks small, and goes to the one chosen', async () => {
    const document = sampleDocument();
    const { page } = await tester().open(document);
    await page.uncheck('#fade');
    await page.locator('#opacity').fill('100');
    const positions = commonScale(flowAt(document).accumulated, 8);
    const seen = await canvasPixels(page, '#multiples li:nth-child(9) canvas', cellCentres([16, 16]));
    assert.deepEqual(
      seen.map((pixel) => pixel.slice(0, 3)),
      colorsOf(positions, 'inferno'),
    );
    await page.click('#multiples li:nth-child(9) button');
    assert.equal(await page.inputValue('#block'), '9');
    await page.focus('#multiples li:nth-child(3) button');
    await page.keyboard.press('Enter');
    assert.equal(await page.inputValue('#block'), '3');
    assert.equal(await page.getAttribute('#multiples li:nth-child(3) button', 'aria-pressed'), 'true');
    assert.equal(await page.locator('#multiples [aria-pressed=true]').count(), 1);
  });
});

describeInBrowser('flow viewer: words and charts', (tester) => {
  it('says at which block the decision forms, for each target', async () => {
    const document = sampleDocument({ targets: ['forgery', 'logit:3'] });
    const { page } = await tester().open(document);
    for (const [index, flow] of document.flows.entries()) {
      await page.selectOption('#target', { index });
      const strongest = flow.share.indexOf(Math.max(...flow.share)) + 1;
      const { half, ninety } = flow.milestones;
      assert.ok(half !== null && ninety !== null);
      const sentence = await textOf(page, '#sentence');
      assert.match(sentence, new RegExp(`^The decision forms at block ${strongest}, `));
      assert.match(sentence, new RegExp(`by block ${half + 1}, nine tenths by block ${ninety + 1}\\.$`));
      assert.equal(await textOf(page, '#target-value'), String(flow.y));
      const marks = await inPage(
        page,
        "[...document.querySelectorAll('#share .mark')].map((m) => m.textContent)",
      );
      assert.deepEqual(marks, [`half: block ${half + 1}`, `nine tenths: block ${ninety + 1}`]);
    }
    const sentences = document.flows.map((flow) => flow.share.indexOf(Math.max(...flow.share)));
    assert.notEqual(sentences[0], sentences[1], 'the sample tells the two targets apart');
  });

  it('draws shares, running total and agreement to scale', async () => {
    const document = sampleDocument();
    const flow = flowAt(document);
    const { page } = await tester().open(document);
    const heights = await inPage<number[]>(
      page,
      "[...document.querySelectorAll('#share .share-bar')].map((bar) => Number(bar.getAttribute('height')))",
    );
    const full = 210 - 14 - 38; // the plot between its margins
    flow.share.forEach((share, block) => assert.ok(Math.abs((heights[block] ?? 0) - share * full) < 0.01));
    const curve = async (selector: string) =>
      (await inPage<string>(page, `document.querySelector('${selector}').getAttribute('points')`))
        .split(' ')
        .map((point) => Number(point.split(',')[1]));
    let reached = 0;
    const total = await curve('#share .total');
    flow.share.forEach((share, block) => {
      reached += share;
      assert.ok(Math.abs((total[block] ?? 0) - (14 + full * (1 - reached))) < 0.06, `total at ${block}`);
    });
    const iou = await curve('#agreement .iou');
    flow.agreement.iou.forEach((value, block) => {
      assert.ok(Math.abs((iou[block] ?? 0) - (14 + (170 - 14 - 38) * (1 - value))) < 0.06, `iou at ${block}`);
    });
    const rows = await inPage<string[][]>(
      page,
      "[...document.querySelectorAll('#evolution-table tbody tr')].map((row) => [...row.cells].map((c) => c.textContent))",
    );
    assert.equal(rows.length, 12);
    assert.equal(rows[7]?.[1], `${(100 * (flow.share[7] ?? 0)).toFixed(0)}\u00a0%`);
    assert.equal(Number(rows[7][3]), Number(flow.agreement.iou[7]?.toPrecision(3)));
    const chart = page.locator('#share svg');
    const box = await chart.boundingBox();
    assert.ok(box);
    await chart.click({ position: { x: 44 + ((box.width - 58) * 4.5) / 12, y: 60 } });
    assert.equal(await page.inputValue('#block'), '5', 'a click on the chart goes to its block');
  });

  it('marks the blocks where class-row coefficients are approximate', async () => {
    const { page } = await tester().open(sampleDocument({ coefficients: 'class-row' }));
    const marked = await inPage<boolean[]>(
      page,
      "[...document.querySelectorAll('#share .share-bar')].map((bar) => bar.classList.contains('approximate'))",
    );
    assert.deepEqual(
      marked,
      Array.from({ length: 12 }, (_, block) => block < 10),
    );
    assert.match(await page.innerText('.legend'), /approximate: class-row/);
    await setBlock(page, 9);
    assert.match(await textOf(page, '#block-label'), /reached \(approximate\)$/);
    await setBlock(page, 10);
    assert.match(await textOf(page, '#block-label'), /reached$/);
  });

  it('shows every part of the completeness sum, with bars of its length', async () => {
    const document = sampleDocument();
    const { completeness } = flowAt(document);
    assert.ok(completeness);
    const { page } = await tester().open(document);
    const rows = await inPage<string[][]>(
      page,
      "[...document.querySelectorAll('#parts tbody tr')].map((row) => [...row.cells].map((c) => c.textContent))",
    );
    const number = (text = '') => Number(text.replaceAll('\u2212', '-'));
    const { patches, prefix, attentionBias, mlp, embedding, normBias, headBias } = completeness;
    const parts = [patches, prefix, attentionBias, mlp, embedding, normBias, headBias];
    const expected = [
      ...parts,
      completeness.sum,
      completeness.value,
      completeness.residual,
      completeness.remainder,
      3.2,
    ];
    assert.deepEqual(
      rows.map((row) => number(row[1])),
      expected.map((value) => Number(value.toPrecision(3))),
    );
    const widths = await inPage<number[]>(
      page,
      "[...document.querySelectorAll('#stack .part')].map((bar) => Number(bar.getAttribute('width')))",
    );
    const scale = (widths[0] ?? 0) / Math.abs(patches);
    parts.forEach((value, index) =>
      assert.ok(Math.abs((widths[index] ?? 0) - Math.abs(value) * scale) < 0.01),
    );
    assert.match(
      await textOf(page, '#completeness-note'),
      /first-order form.* is 2\.22 .*, \+0\.98, is the remainder/,
    );
    const pieces = await inPage<number>(page, "document.querySelectorAll('#contributions .part').length");
    assert.equal(pieces, 12 * 4);
  });

  it('calls a sum exact only where nothing remains outside', async () => {
    const document = sampleDocument();
    const flow = flowAt(document);
    assert.ok(flow.completeness);
    const completeness = { ...flow.completeness, remainder: 0 };
    const linear = { ...flow, y: completeness.value, completeness };
    const { page } = await tester().open({ ...document, flows: [linear, flow] });
    assert.match(await textOf(page, '#completeness-note'), /the target's value is exactly the sum/);
    await page.selectOption('#target', { index: 1 });
    assert.doesNotMatch(await textOf(page, '#completeness-note'), /target's value is exactly/);
  });

  it('reads a cell under the pointer and by keys', async () => {
    const document = sampleDocument({ grid: [10, 14], blocks: 24 });
    const flow = flowAt(document);
    const { page } = await tester().open(document);
    await setBlock(page, 15);
    const box = await page.locator('#stage').boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + (box.width * 4.5) / 14, box.y + (box.height * 7.5) / 10);
    const number = (text: string) => Number(text.replaceAll('\u2212', '-'));
    const check = async (row: number, column: number) => {
      const lines = (await page.innerText('#tip')).split('\n');
      assert.equal(lines[0], `Row ${row + 1}, column ${column + 1}`);
      const values = [flow.accumulated, flow.block_maps, flow.signed].map(
        (maps) => maps[15]?.[row]?.[column] ?? NaN,
      );
      const seen = lines.slice(1, 4).map((line) => number(/: ([^ ]+)/.exec(line)?.[1] ?? ''));
      assert.deepEqual(
        seen,
        values.map((value) => Number(value.toPrecision(3))),
      );
      assert.equal(await textOf(page, '#cell'), lines.join(' · '), 'the same for screen readers');
    };
    await check(7, 4);
    await page.mouse.move(0, 0);
    assert.equal(await page.isVisible('#tip'), false);
    await page.focus('#stage');
    await page.keyboard.press('ArrowUp');
    await check(5, 7);
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowRight', 'End', 'ArrowDown'])
      await page.keyboard.press(key);
    await check(4, 13);
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowLeft');
    await check(4, 0);
    assert.equal(await page.inputValue('#block'), '16', 'keys on the map leave the block alone');
    await page.selectOption('#scale', 'sigmoid');
    const level = 255 * (sigmoidScale(flow.accumulated, 15)[4 * 14] ?? NaN);
    assert.match(await textOf(page, '#cell'), new RegExp(`Level: ${Math.round(level)} of 255`));
    await page.focus('#stage');
    await page.keyboard.press('Escape');
    assert.equal(await page.isVisible('#cursor'), false);
  });

  it('shows maps without any mass, and a model without a completeness sum', async () => {
    const document = sampleDocument({ constant: 0 });
    const flows = document.flows.map((flow) => ({ ...flow, completeness: null }));
    const { page } = await tester().open({ ...document, flows });
    assert.match(await textOf(page, '#sentence'), /zero in every block/);
    assert.doesNotMatch(await page.innerText('body'), /NaN|Infinity|undefined/);
    await page.uncheck('#fade');
    for (const scale of ['common', 'own', 'linear', 'sigmoid']) {
      await page.selectOption('#scale', scale);
      const [pixel] = await canvasPixels(page, '#overlay', [[0.5, 0.5]]);
      assert.deepEqual(pixel, [...colorsOf([0], 'inferno').flat(), 255], scale);
    }
    assert.equal(await page.isVisible('#completeness'), false);
    assert.equal(await page.isVisible('#contributions-section'), false);
    assert.match((await page.getAttribute('#overlay', 'aria-label')) ?? '', /the same value everywhere, 0$/);
  });
});

describeInBrowser('flow viewer: keys, play and downloads', (tester) => {
  it('moves by keys where nothing has the focus, and on the slider', async () => {
    const { page } = await tester().open(sampleDocument());
    const block = () => page.inputValue('#block');
    const walk: [string, string][] = [
      ['ArrowLeft', '11'],
      ['ArrowLeft', '10'],
      ['ArrowRight', '11'],
      ['Home', '1'],
      ['ArrowLeft', '1'],
      ['End', '12'],
      ['ArrowRight', '12'],
    ];
    for (const focus of ['body', '#block']) {
      if (focus !== 'body') await page.focus(focus);
      for (const [key, expected] of walk) {
        await page.keyboard.press(key);
        assert.equal(await block(), expected, `${key} on ${focus}`);
      }
    }
    assert.match(
      (await page.getAttribute('#block', 'aria-valuetext')) ?? '',
      /^Block 12 of 12: adds .*100\u00a0% reached$/,
    );
    await page.keyboard.press('ArrowLeft');
    await page
      .locator('#live', { hasText: /^Block 11 of 12/ })
      .waitFor({ state: 'attached', timeout: 15_000 });
  });

  it('reaches every control with Tab, each with a visible focus', async () => {
    const { page } = await tester().open(sampleDocument({ targets: ['forgery', 'max'] }));
    const names: string[] = [];
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press('Tab');
      const [name, outline] = await inPage<[string, number]>(
        page,
        `(() => { const e = document.activeElement; const s = getComputedStyle(e);
          return [e.id || e.name || e.tagName + ':' + e.textContent.trim(), s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth)]; })()`,
      );
      if (name.startsWith('BODY')) break;
      assert.ok(outline >= 2, `${name} shows no focus`);
      names.push(name);
    }
    const wanted = 'stage play block target view scale colors opacity fade smooth save-png save-json'.split(
      ' ',
    );
    assert.deepEqual(
      names.filter((name) => wanted.includes(name)),
      wanted,
    );
    assert.equal(names[0], 'A:Skip to the map');
    assert.ok(names.filter((name) => name.startsWith('BUTTON:Block')).length === 12);
    assert.ok(names.filter((name) => name.startsWith('SUMMARY')).length === 2);
  });

  for (const [reducedMotion, frame] of [
    ['no-preference', 700],
    ['reduce', 1500],
  ] as const) {
    it(`plays and pauses on Space (motion: ${reducedMotion})`, async () => {
      const { page } = await tester().open(sampleDocument({ blocks: 3 }), { reducedMotion });
      await page.clock.install({ time: 0 });
      await page.clock.pauseAt(1000);
      await page.keyboard.press('Space');
      const block = () => page.inputValue('#block');
      assert.equal(await block(), '1', 'from the end it starts again');
      assert.equal(await textOf(page, '#play'), 'Pause');
      await page.clock.runFor(frame - 100);
      assert.equal(await block(), '1');
      await page.clock.runFor(200);
      assert.equal(await block(), '2');
      await page.keyboard.press('Space');
      await page.clock.runFor(5000);
      assert.equal(await block(), '2', 'paused');
      await page.click('#play');
      await page.clock.runFor(5000);
      assert.equal(await block(), '3');
      assert.equal(await textOf(page, '#play'), 'Play', 'stops at the end');
    });
  }

  it('saves what is seen as PNG and the document as JSON', async () => {
    const document = sampleDocument({ targets: ['logit:3'], path: 'some where/my face.jpg' });
    const { page } = await tester().open(document);
    await setBlock(page, 6);
    await page.uncheck('#fade');
    await page.locator('#opacity').fill('60');
    const save = async (button: string) => {
      const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
      return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
    };
    const json = await save('#save-json');
    assert.equal(json.name, 'my-face-logit-3.json');
    assert.deepEqual(JSON.parse(json.bytes.toString('utf8')), JSON.parse(JSON.stringify(document)));
    const png = await save('#save-png');
    assert.equal(png.name, 'my-face-logit-3-accumulated-block07.png');
    const image = await decodeImage(png.bytes);
    assert.deepEqual([image.width, image.height], [672, 672 + 96], 'three times the picture, and the strip');
    const under = await decodeImage((await samplePicture(document)).png);
    const colors = colorsOf(commonScale(flowAt(document).accumulated, 6), 'inferno');
    let compared = 0;
    colors.forEach((color, cell) => {
      const [row, column] = [Math.floor(cell / 16), cell % 16];
      const seen = (42 * row + 21) * 672 + 42 * column + 21;
      const below = (14 * row + 7) * 224 + 14 * column + 7;
      color.forEach((value, channel) => {
        const ground = under.data[3 * below + channel] ?? 0;
        const around = [-448, -224, -2, -1, 1, 2, 224, 448].map(
          (step) => under.data[3 * (below + step) + channel] ?? 0,
        );
        if (around.some((near) => Math.abs(near - ground) > 2)) return; // an edge: enlarging blurs it
        compared += 1;
        const expected = ground + 0.6 * (value - ground);
        assert.ok(Math.abs((image.data[3 * seen + channel] ?? 0) - expected) <= 2, `cell ${cell}`);
      });
    });
    assert.ok(compared > 600, `${compared} of 768 compared`);
    const bar = (672 + 60) * 672;
    const last = flowColorTable('inferno').subarray(3 * 255);
    for (let channel = 0; channel < 3; channel += 1)
      assert.ok(
        Math.abs((image.data[3 * (bar + 658) + channel] ?? 0) - (last[channel] ?? 0)) <= 3,
        'its colour bar',
      );
  });
});
