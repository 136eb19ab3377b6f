import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { SCRIPT_LENGTH } from '../../lib/explain/evaluation/questions.js';
import type { ExplainEvalDocument } from '../../lib/explain/evaluation/resultDocument.js';
import type { FaceRow } from '../../lib/explain/evaluation/rows.js';
import { packageRoot } from '../../lib/native/config.js';
import { runCli } from '../cli/runCli.js';

const ONE_LANE = ['--lanes', '1', '--threads-per-lane', '1'];
const PHOTOS = path.join(packageRoot(), 'test', 'fixtures', 'photos');

describe('explain evaluation: explain-eval', function () {
  this.timeout(300_000);
  let folder: string;
  const inside = (...names: string[]) => path.join(folder, ...names);
  const evaluate = (...args: string[]) => runCli(['explain-eval', ...args, ...ONE_LANE]);
  const documentAt = async (name: string) =>
    JSON.parse(await readFile(inside(name), 'utf8')) as ExplainEvalDocument;
  /** What must not change from run to run: everything but times. */
  const textsOf = (rows: readonly FaceRow[]) =>
    rows.flatMap((row) => row.dialogues.flatMap(({ answers }) => answers.map(({ end }) => end)));

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-explain-eval-'));
    await mkdir(inside('photos'));
    await copyFile(path.join(PHOTOS, 'astronaut.jpg'), inside('photos', 'astronaut.jpg'));
    await copyFile(path.join(PHOTOS, 'astronaut-forged.jpg'), inside('photos', 'forged.jpg'));
    await copyFile(path.join(PHOTOS, 'astronaut-forged-mask.png'), inside('photos', 'forged.mask.png'));
  });
  after(() => rm(folder, { recursive: true }));

  it('asks about every face, compares with the mask, and says the same again', async () => {
    const args = [inside('photos'), '--modes', 'sentences', '--seed', '3'];
    const first = await evaluate(...args, '--out', inside('one.json'), '--answers', inside('one.jsonl'));
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^figure +sentences\n/);
    assert.match(first.stdout, /\ncontradicted where the user reads \(low\) +0\n/);
    assert.match(first.stdout, /\nthe detector's own regions against the masks: precision /);
    assert.match(first.stderr, /2 faces, \d of them fake/);
    const { settings, summary, images, rows, parallel } = await documentAt('one.json');
    assert.deepEqual([settings.modes, settings.seed, parallel], [['sentences'], 3, null]);
    assert.deepEqual(
      images.map(({ image, status }) => `${image} ${status}`),
      ['astronaut.jpg ok', 'forged.jpg ok'],
    );
    assert.equal(images[0]?.maskParts, null);
    assert.ok((images[1]?.maskParts ?? []).length > 0, 'the inner face was replaced');
    assert.equal(rows.length, 2);
    const texts = textsOf(rows);
    assert.equal(texts.length, 2 * SCRIPT_LENGTH);
    assert.equal(summary.modes.sentences?.unmarked, 0);
    for (const { text, judge } of texts) assert.deepEqual(judge.faults, [], text);
    const lines = (await readFile(inside('one.jsonl'), 'utf8')).trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { answer: string }).answer),
      texts.map(({ text }) => text),
    );

    const again = await evaluate(...args, '--out', inside('two.json'), '--json', '-q');
    assert.equal(again.stderr, '');
    assert.equal((JSON.parse(again.stdout) as ExplainEvalDocument).schema, 'kfd.explain-eval/1');
    assert.deepEqual(textsOf((await documentAt('two.json')).rows), texts);

    // an interrupted run goes on: a row that is there already is not made again
    const marked = { ...rows[0], group: 'from the earlier run' };
    const heading = { ...settings, images: images.map(({ image }) => image) };
    const partial = inside('three.json.partial.jsonl');
    await writeFile(partial, `${JSON.stringify(heading)}\n${JSON.stringify(marked)}\n{"mode":"sen`);
    const resumed = await evaluate(...args, '--out', inside('three.json'));
    assert.match(resumed.stderr, /1 of 2 faces are there/);
    const three = await documentAt('three.json');
    assert.deepEqual(
      three.rows.map(({ group }) => group),
      ['from the earlier run', null],
    );
    await assert.rejects(readFile(partial), { code: 'ENOENT' });
  });

  it('takes own questions; a picture without a face and a mask of another size stand in their rows', async () => {
    const images = inside('odd');
    await mkdir(images);
    await copyFile(path.join(PHOTOS, 'astronaut.jpg'), path.join(images, 'a.jpg'));
    await copyFile(path.join(PHOTOS, 'astronaut.jpg'), path.join(images, 'b.jpg'));
    const grey = sharp({ create: { width: 300, height: 300, channels: 3, background: '#555' } });
    await grey.clone().jpeg().toFile(path.join(images, 'c.jpg'));
    await grey.clone().png().toFile(path.join(images, 'b.mask.png'));
    await writeFile(inside('own.txt'), 'Is it fake?\n\nWhat about the nose?\n');
    const { code, stdout, stderr } = await evaluate(
      images,
      ...['--modes', 'sentences', '--questions', inside('own.txt'), '--json', '--parallel', '1,2'],
      ...['--out', inside('odd.json')],
    );
    assert.equal(code, 4, stderr);
    assert.match(stderr, /failed: b\.jpg: .*expected a mask of/);
    assert.match(stderr, /failed: c\.jpg: no face was found/);
    const { summary, parallel } = JSON.parse(stdout) as ExplainEvalDocument;
    assert.deepEqual([summary.images, summary.evaluated], [3, 1]);
    assert.equal(summary.modes.sentences?.kinds.own?.answers, 2);
    assert.deepEqual(
      parallel?.map(({ dialogues, answers }) => [dialogues, answers]),
      [
        [1, 2],
        [2, 2],
      ],
    );
    const { images: facts, rows } = await documentAt('odd.json');
    assert.deepEqual(
      facts.map(({ status, error }) => [status, error?.code ?? null]),
      [
        ['ok', null],
        ['error', 'ERR_KFD_INVALID_ARGUMENT'],
        ['no-face', null],
      ],
    );
    assert.deepEqual(
      rows.map(({ dialogues }) => dialogues.length),
      [2],
    );
  });

  it('says what is wrong', async () => {
    const photos = inside('photos');
    const cases: [string[], number, RegExp][] = [
      [[photos, '--modes', 'best'], 2, /modes out of full, no-check/],
      [[photos, '--parallel', '1,0'], 2, /--parallel to be numbers from 1 on/],
      [[photos, '--max-rounds', '0'], 2, /--max-rounds to be a whole number from 1 on/],
      [[photos, '--questions', inside('none.txt')], 4, /none\.txt cannot be read/],
      [[inside('nowhere')], 4, /Expected a folder of images/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stderr } = await evaluate(...args);
      assert.equal(code, expected, stderr);
      assert.match(stderr, message);
    }
  });
});
