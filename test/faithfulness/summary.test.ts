import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { PartialRows } from '../../lib/data/partialRows.js';
import { MaskPrior, randomMap } from '../../lib/faithfulness/controls.js';
import { emptyRow, type ImageRow } from '../../lib/faithfulness/imageRow.js';
import { METHODS, whyNot } from '../../lib/faithfulness/methods.js';
import { chooseNames, METRIC_GROUPS, metricsOf } from '../../lib/faithfulness/metrics.js';
import {
  csvOf,
  writeResult,
  type EvaluationDocument,
  type EvaluationSettings,
} from '../../lib/faithfulness/resultFile.js';
import { summarise } from '../../lib/faithfulness/summary.js';
import { chanceLine, summaryRows } from '../../lib/faithfulness/summaryTable.js';
import type { ModelInfo } from '../../lib/native/types.js';

const OPTIONS = { seed: 3, draws: 500 };

function row(image: string, mass: number, prior: number, group?: string): ImageRow {
  const blocks = { mass: [0, mass], auroc: [0.5, mass] };
  return {
    ...emptyRow(image, group, 'ok'),
    score: 0.75,
    decision: 1,
    mask_share: 0.25,
    methods: { gradient: { mass, auroc: mass / 2 }, prior: { mass: prior }, random: { mass: 0.25 } },
    blocks: { gradient: { alone: blocks, accumulated: blocks } },
  };
}
const rows = [
  row('a.png', 0.2, 0.1, 'anna'),
  row('b.png', 0.4, 0.1, 'anna'),
  row('c.png', 0.9, 0.4, 'bert'),
  emptyRow('d.png', 'bert', 'no-face'),
];

describe('faithfulness: controls', () => {
  it('never shows a prior the masks of its own group', () => {
    const prior = new MaskPrior(2, 1);
    const add = (group: string, ...data: number[]) =>
      prior.add(group, { width: 2, height: 1, data: Uint8Array.from(data) });
    add('a', 1, 0);
    assert.equal(prior.without('a'), undefined);
    add('a', 1, 0);
    add('b', 0, 1);
    add('c', 1, 1);
    assert.deepEqual([...(prior.without('a')?.data ?? [])], [0.5, 1]);
    assert.deepEqual([...(prior.without('b')?.data ?? [])], [1, Math.fround(1 / 3)]);
    assert.deepEqual([...(prior.without('unknown')?.data ?? [])], [0.75, 0.5]);
  });

  it('draws random maps by seed and image', () => {
    assert.deepEqual(randomMap(4, 4, 1, 'a'), randomMap(4, 4, 1, 'a'));
    assert.notDeepEqual(randomMap(4, 4, 1, 'a').data, randomMap(4, 4, 1, 'b').data);
  });
});

describe('faithfulness: methods and metrics', () => {
  const vit = { kind: 'vit', features: [] as string[] } as unknown as ModelInfo;
  const kfd = { ...vit, kind: 'kfd' } as ModelInfo;
  const without = { ...vit, features: ['no-class-token', 'average-pool'] };
  const chosen = (info: ModelInfo, readsPatches: boolean, hasMasks: boolean) =>
    METHODS.filter((method) => whyNot(method, { info, readsPatches, hasMasks }) === undefined);

  it('compares what has a meaning', () => {
    assert.deepEqual(
      chosen(vit, false, false),
      METHODS.filter((method) => method !== 'locator' && method !== 'prior'),
    );
    assert.deepEqual(
      chosen(kfd, true, true),
      METHODS.filter((method) => method !== 'class-row' && method !== 'direct'),
    );
    const normed = { ...vit, features: ['attn-norm'] };
    assert.deepEqual(
      chosen(vit, false, true).filter((method) => !chosen(normed, false, true).includes(method)),
      ['direct', 'direct-all'],
    );
    assert.deepEqual(chosen(without, true, true), [
      'gradient-all',
      'signed-gradient-all',
      'direct-all',
      'prior',
      'random',
    ]);
  });

  it('reads lists of names', () => {
    assert.deepEqual(chooseNames('metrics', ['road', 'deletion'], METRIC_GROUPS), ['deletion', 'road']);
    assert.deepEqual(chooseNames('metrics', ['all'], METRIC_GROUPS), [...METRIC_GROUPS]);
    for (const wrong of [['roads'], [], ['']]) {
      assert.throws(() => chooseNames('metrics', wrong, METRIC_GROUPS), {
        code: 'ERR_KFD_INVALID_ARGUMENT',
        message: /metrics out of localisation/,
      });
    }
    assert.deepEqual(metricsOf(['drop']), ['average_drop', 'increase']);
  });
});

describe('faithfulness: summary', () => {
  const metrics = metricsOf(['localisation']);
  const summary = summarise(rows, METHODS, metrics, OPTIONS);

  it('averages over images, with intervals by group and the difference to the prior', () => {
    assert.deepEqual([summary.images, summary.evaluated, summary.groups], [4, 3, 2]);
    const mass = summary.methods.gradient?.mass;
    assert.ok(Math.abs((mass?.mean ?? NaN) - 0.5) < 1e-12);
    assert.equal(mass?.count, 3);
    // two groups: a draw is anna twice (0.3), bert twice (0.9) or both (0.5)
    assert.ok(Math.abs(mass.low - 0.3) < 1e-12 && Math.abs(mass.high - 0.9) < 1e-12, JSON.stringify(mass));
    assert.ok(Math.abs((mass.over_prior?.mean ?? NaN) - 0.3) < 1e-12);
    assert.equal(summary.methods.prior?.mass?.over_prior, null);
    assert.equal(summary.methods.gradient?.auroc?.over_prior, null, 'the prior has no AUROC here');
    assert.equal(summary.methods.gradient.iou, undefined);
    assert.equal(summary.methods.rollout, undefined);
    const byBlock = summary.blocks.gradient?.accumulated.mass ?? [];
    assert.ok(byBlock[0] === 0 && Math.abs((byBlock[1] ?? NaN) - 0.5) < 1e-12);
  });

  it('becomes a table and a line about chance', () => {
    const [heading, first, second] = summaryRows(summary, metrics);
    assert.deepEqual(heading?.slice(0, 2), ['method', 'mass inside (high)']);
    assert.deepEqual(first?.slice(0, 2), ['gradient', '0.500 [0.300, 0.900]']);
    assert.equal(first.at(-1), '-');
    assert.equal(second?.[0], 'prior');
    assert.match(
      chanceLine(summary),
      /^chance: mass inside and pointing 0\.250 .* AUROC 0\.500; .*random; .*prior/,
    );
    const nothing = summarise([], METHODS, metrics, OPTIONS);
    assert.equal(nothing.mask_share, null);
    assert.match(chanceLine(nothing), /unknown/);
  });

  it('becomes CSV', () => {
    const hostile = row('e "x",\n.png', 1, 0);
    const lines = csvOf([...rows.slice(2), hostile], metrics)
      .trimEnd()
      .split('\n');
    assert.equal(
      lines[0],
      'image,group,status,score,decision,class,mask_share,method,mass,auroc,iou,pointing',
    );
    assert.equal(lines[1], 'c.png,bert,ok,0.75,1,,0.25,gradient,0.9,0.45,,');
    assert.equal(lines[4], 'd.png,bert,no-face,,,,,,,,,');
    assert.ok(lines[5]?.startsWith('"e ""x"",'));
  });
});

describe('faithfulness: result files', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-result-'));
  });
  after(() => rm(folder, { recursive: true }));
  const settings: EvaluationSettings = {
    folder: 'f',
    target: 'forgery',
    methods: ['gradient'],
    metrics: ['localisation'],
    faces: 'whole',
    steps: 10,
    seed: 0,
    images: ['a.png', 'b.png', 'c.png'],
    groups: null,
    masks: null,
    model: { name: 'm', sha256: null, device: 'cpu' },
  };

  it('takes up an interrupted run, without its last half row, and only with the same settings', async () => {
    const out = path.join(folder, 'deep', 'out.json');
    const first = await PartialRows.open<ImageRow>(out, settings);
    assert.deepEqual(first.rows, []);
    for (const each of rows.slice(0, 2)) await first.add(each);
    const file = `${out}.partial.jsonl`;
    await writeFile(file, (await readFile(file, 'utf8')) + '{"image":"c.p');
    const again = await PartialRows.open<ImageRow>(out, settings);
    assert.deepEqual(
      again.rows.map(({ image }) => image),
      ['a.png', 'b.png'],
    );
    await again.add(rows[2] ?? emptyRow('', undefined, 'ok'));
    assert.equal((await PartialRows.open<ImageRow>(out, settings)).rows.length, 3);
    const other = await PartialRows.open<ImageRow>(out, { ...settings, seed: 1 });
    assert.deepEqual(other.rows, []);
    await other.discard();
    await assert.rejects(readFile(file), { code: 'ENOENT' });
  });

  it('writes the document and the rows', async () => {
    const summary = summarise(rows, METHODS, metricsOf(['localisation']), OPTIONS);
    const document: EvaluationDocument = { schema: 'kfd.daam-eval/1', settings, summary, rows };
    const out = path.join(folder, 'out.json');
    await writeResult(out, document, metricsOf(['localisation']));
    assert.deepEqual(JSON.parse(await readFile(out, 'utf8')), JSON.parse(JSON.stringify(document)));
    assert.equal((await readFile(path.join(folder, 'out.csv'), 'utf8')).split('\n').length, 12);
  });
});
