import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { applyAffine } from '../../lib/face/alignment.js';
import { massInside } from '../../lib/faithfulness/localisation.js';
import { METHODS } from '../../lib/faithfulness/methods.js';
import { METRIC_GROUPS, metricsOf } from '../../lib/faithfulness/metrics.js';
import { enlarge } from '../../lib/faithfulness/plane.js';
import { Random } from '../../lib/faithfulness/random.js';
import type { EvaluationDocument } from '../../lib/faithfulness/resultFile.js';
import { Detector } from '../../lib/kfd/detector.js';
import { packageRoot } from '../../lib/native/config.js';
import { Engine, outputOf } from '../../lib/native/engine.js';
import { writeModelManifest } from '../../lib/setup/models.js';
import { runCli } from '../cli/runCli.js';
import { inputOf, modelOf, readCase } from '../native/reference.js';

/** The command on small networks with random weights: what the figures are does not matter, where they come from does. */

const ONE_LANE = ['--lanes', '1', '--threads-per-lane', '1'];

/** Noise pictures of one size with a disc as mask, NAME.png and NAME.mask.png. */
async function writePictures(folder: string, count: number, width: number, height: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let i = 0; i < count; i += 1) {
    const random = new Random(7, `picture ${i}`);
    const pixels = Uint8Array.from({ length: width * height * 3 }, () => random.integer(256));
    const disc = Uint8Array.from({ length: width * height }, (_, pixel) => {
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      return Math.hypot(x - width * (0.3 + 0.1 * i), y - height * 0.5) < 0.2 * height ? 255 : 0;
    });
    const [file, mask] = [path.join(folder, `${i}.png`), path.join(folder, `${i}.mask.png`)];
    await sharp(pixels, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(file);
    await sharp(disc, { raw: { width, height, channels: 1 } })
      .png()
      .toFile(mask);
  }
}

describe('faithfulness: daam-eval', function () {
  this.timeout(300_000);
  const reference = readCase('vit_plain');
  let folder: string;
  let classifier: string;
  let detector: string;
  const inside = (...names: string[]) => path.join(folder, ...names);
  const evaluate = (...args: string[]) => runCli(['daam-eval', ...args, ...ONE_LANE]);
  const documentAt = async (name: string) =>
    JSON.parse(await readFile(inside(name), 'utf8')) as EvaluationDocument;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-daam-eval-'));
    await writePictures(inside('small'), 3, 48, 48);
    await writePictures(inside('large'), 2, 224, 224);
    classifier = inside('tiny.pt');
    await copyFile(modelOf(reference), classifier);
    const vit = {
      heads: 4,
      patch: 8,
      prefixTokens: 1,
      layerNormEps: 1e-6,
      activation: 'gelu' as const,
      taps: [],
    };
    await writeModelManifest(
      classifier,
      {
        name: 'tiny',
        kind: 'vit',
        licence: 'Apache-2.0',
        source: 'python/oracles',
        input: inputOf(reference),
        vit,
      },
      true,
    );
    detector = modelOf(readCase('kfd'));
  });
  after(() => rm(folder, { recursive: true }));

  it('compares every method and metric on a classifier', async () => {
    const metrics = metricsOf(METRIC_GROUPS);
    const args = ['--model', classifier, '--metrics', 'all', '--steps', '4', '--seed', '5'];
    const { code, stdout, stderr } = await evaluate(
      inside('small'),
      ...args,
      '--out',
      inside('vit.json'),
      '--csv',
    );
    assert.equal(code, 0, stderr);
    const lines = stdout.trimEnd().split('\n');
    const methods = METHODS.filter((method) => method !== 'locator');
    assert.deepEqual(
      lines.slice(1, -1).map((line) => line.split(' ')[0]),
      methods,
    );
    assert.match(lines.at(-1) ?? '', /^chance: mass inside and pointing 0\.1/);
    const { settings, summary, rows } = await documentAt('vit.json');
    assert.deepEqual([settings.target, settings.seed, settings.steps], ['max', 5, 4]);
    assert.equal(summary.evaluated, 3);
    for (const row of rows) {
      assert.equal(row.decision, row.class, 'max explains the decision');
      for (const method of methods) {
        for (const metric of metrics) {
          const value = row.methods[method]?.[metric];
          assert.ok(typeof value === 'number' && value >= -1 && value <= 1, `${method} ${metric} ${value}`);
        }
        assert.deepEqual(row.curves[method]?.deletion?.length, 5);
        assert.equal(row.curves[method].deletion[0], row.score);
        assert.equal(row.curves[method].insertion?.at(-1), row.score);
        assert.equal(row.curves[method].road?.length, 3);
      }
      assert.equal(row.blocks.gradient?.alone.mass.length, 3);
      assert.equal(row.blocks.gradient.accumulated.mass.at(-1), row.methods.gradient?.mass);
      assert.equal(row.blocks.gradient.accumulated.auroc[0], row.blocks.gradient.alone.auroc[0]);
      assert.equal(row.blocks.rollout, undefined);
    }
    const csv = (await readFile(inside('vit.csv'), 'utf8')).trimEnd().split('\n');
    assert.equal(csv.length, 1 + 3 * methods.length);
  });

  it('takes its maps and scores from the engine', async () => {
    const { rows } = await documentAt('vit.json');
    const [first] = rows;
    await using engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
    const input = inputOf(reference);
    const model = await engine.load(classifier, { kind: 'vit', input });
    const decoded = await sharp(inside('small', '0.png')).raw().toBuffer();
    const image = { data: new Uint8Array(decoded), width: 48, height: 48 };
    using flow = model.flow({ image });
    const { arrays } = await flow.forward();
    const logits = outputOf({ arrays }, 'logits').data;
    const exponentials = logits.map((logit) => Math.exp(logit));
    const index = logits.indexOf(Math.max(...logits));
    assert.equal(first?.class, index);
    const probability = (exponentials[index] ?? NaN) / exponentials.reduce((sum, value) => sum + value, 0);
    assert.ok(Math.abs((first.score ?? NaN) - probability) < 1e-4);

    const weights = new Float32Array(logits.length);
    weights[index] = 1;
    await flow.begin({ coefficients: 'direct', allRows: true, targets: [{ kind: 'logits', weights }] });
    const sum = new Float32Array(36);
    for await (const event of flow.events()) {
      const map = outputOf(event, 'U').data.subarray(1);
      map.forEach((value, i) => (sum[i] = (sum[i] ?? 0) + Math.max(value, 0)));
    }
    const mask = new Uint8Array(await sharp(inside('small', '0.mask.png')).greyscale().raw().toBuffer());
    const flags = { width: 48, height: 48, data: mask.map((value) => (value > 127 ? 1 : 0)) };
    const map = enlarge({ width: 6, height: 6, data: sum }, 48, 48);
    assert.ok(Math.abs(massInside(map, flags) - (first.methods['direct-all']?.mass ?? NaN)) < 1e-4);

    // with everything deleted the network sees its own zero
    const grey = await model.run({ tensor: { shape: [1, 3, 48, 48], data: new Float32Array(3 * 48 * 48) } });
    const last = outputOf(grey, 'logits').data.map((logit) => Math.exp(logit));
    const expected = (last[index] ?? NaN) / last.reduce((total, value) => total + value, 0);
    assert.ok(Math.abs((first.curves.gradient?.deletion?.at(-1) ?? NaN) - expected) < 1e-5);
  });

  it('repeats a run to the last digit, and goes on with an interrupted one', async () => {
    const args = ['--model', classifier, '--metrics', 'localisation,deletion', '--steps', '4', '-q'];
    const run = (out: string) => evaluate(inside('small'), ...args, '--out', inside(out));
    const first = await run('one.json');
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stderr, '');
    await run('two.json');
    assert.equal(await readFile(inside('one.json'), 'utf8'), await readFile(inside('two.json'), 'utf8'));

    const document = await documentAt('one.json');
    const settings = { ...document.settings, images: document.rows.map(({ image }) => image) };
    const marked = { ...document.rows[0], score: 0.123 };
    const partial = inside('three.json.partial.jsonl');
    await writeFile(partial, `${JSON.stringify(settings)}\n${JSON.stringify(marked)}\n{"image":"1`);
    const { code, stderr } = await run('three.json');
    assert.equal(code, 0, stderr);
    const resumed = await documentAt('three.json');
    assert.deepEqual(resumed.rows, [marked, ...document.rows.slice(1)]);
    await assert.rejects(readFile(partial), { code: 'ENOENT' });
  });

  it('evaluates a detector with its own map, the masks in a folder of their own, and groups', async () => {
    const masks = inside('masks');
    const images = inside('jpeg');
    await Promise.all([mkdir(masks), mkdir(images)]);
    for (const name of ['0', '1']) {
      await copyFile(inside('large', `${name}.mask.png`), path.join(masks, `${name}.png`));
      await sharp(inside('large', `${name}.png`))
        .jpeg()
        .toFile(path.join(images, `${name}.jpg`));
    }
    await writeFile(inside('groups.csv'), 'image,group\n0.jpg,one person\n1.jpg,one person\n');
    const { code, stdout, stderr } = await evaluate(
      images,
      ...['--model', detector, '--trust-model', '--faces', 'whole', '--masks', masks],
      ...['--groups', inside('groups.csv'), '--metrics', 'localisation,drop', '--json'],
    );
    assert.equal(code, 0, stderr);
    const { settings, summary } = JSON.parse(stdout) as EvaluationDocument;
    assert.equal(settings.target, 'forgery');
    assert.equal(summary.groups, 1);
    const { methods } = summary;
    assert.equal(methods['class-row'], undefined);
    assert.equal(methods.direct, undefined);
    assert.equal(methods.prior, undefined, 'all masks are of one group');
    for (const method of ['gradient', 'direct-all', 'gradcam', 'locator', 'random'] as const) {
      const { mass, average_drop: drop } = methods[method] ?? {};
      assert.ok(mass !== undefined && mass.low === mass.high, 'one group has no spread');
      assert.ok(drop !== undefined && drop.mean >= 0);
    }
  });

  it('aligns the face and warps the mask alike; a picture without a face stands in its row', async () => {
    const photo = path.join(packageRoot(), 'test', 'fixtures', 'photos', 'astronaut.jpg');
    const images = inside('photos');
    await mkdir(images);
    await copyFile(photo, path.join(images, 'face.jpg'));
    const { width, height } = await sharp(photo).metadata();
    const box = { left: 180, top: 60, width: 60, height: 90 };
    const background = '#000';
    const patch = await sharp({ create: { width: 60, height: 90, channels: 3, background: '#fff' } })
      .png()
      .toBuffer();
    const blank = sharp({ create: { width, height, channels: 3, background } });
    await blank.clone().jpeg().toFile(path.join(images, 'none.jpg'));
    await blank.clone().png().toFile(path.join(images, 'none.png'));
    await blank
      .composite([{ input: patch, left: box.left, top: box.top }])
      .png()
      .toFile(path.join(images, 'face.png'));

    await using loaded = await Detector.load({ model: detector, trust: true, lanes: 1, threadsPerLane: 1 });
    const crop = (await loaded.detect(photo)).maps[0]?.crop;
    assert.ok(crop !== undefined);
    let hits = 0;
    for (let pixel = 0; pixel < 224 * 224; pixel += 1) {
      const [x, y] = applyAffine(crop, [(pixel % 224) + 0.5, Math.floor(pixel / 224) + 0.5]);
      const [right, down] = [x - box.left, y - box.top];
      if (right >= 0 && down >= 0 && right < box.width && down < box.height) hits += 1;
    }

    const args = [
      '--model',
      detector,
      '--trust-model',
      '--metrics',
      'localisation',
      '--methods',
      'locator,random',
    ];
    const { code, stderr } = await evaluate(images, ...args, '--out', inside('photos.json'));
    assert.equal(code, 4, stderr);
    assert.match(stderr, /failed: none\.jpg: no face was found/);
    const { rows, summary } = await documentAt('photos.json');
    assert.deepEqual(
      rows.map(({ status }) => status),
      ['ok', 'no-face'],
    );
    assert.equal(summary.evaluated, 1);
    const share = rows[0]?.mask_share ?? NaN;
    assert.ok(Math.abs(share - hits / 224 ** 2) < 0.02 * share, `${share} against ${hits / 224 ** 2}`);
  });

  it('says what is wrong', async () => {
    await mkdir(inside('empty'));
    await mkdir(inside('odd'));
    await copyFile(inside('small', '0.png'), inside('odd', 'a.png'));
    await sharp(inside('small', '0.mask.png')).resize(40, 48).png().toFile(inside('odd', 'a.mask.png'));
    const small = inside('small');
    const model = ['--model', classifier];
    const cases: [string[], number, RegExp][] = [
      [[inside('none'), ...model], 4, /Expected a folder of images/],
      [[inside('empty'), ...model], 5, /No images/],
      [[small, '--masks', inside('empty'), ...model], 4, /3 of 3 images have no mask: expected .*0\.png/],
      [[small, '--metrics', 'roads', ...model], 2, /metrics out of localisation/],
      [[small, '--methods', 'magic', ...model], 2, /methods out of gradient/],
      [[small, '--methods', 'locator', ...model], 2, /locator has no meaning here: only detectors/],
      [[small, '--target', 'forgery', ...model], 2, /no forgery detector/],
      [[small, '--target', 'logit:99', ...model], 2, /class from 0 to/],
      [[small, '--steps', '1', ...model], 2, /--steps to be a whole number from 3/],
      [[small, '--limit', '0', ...model], 2, /--limit/],
      [[small, '--csv', ...model], 2, /--csv needs --out/],
      [[small, '--model', inside('no.pt')], 3, /no\.pt/],
      [[small, '--methods', 'direct', '--model', detector, '--trust-model'], 2, /reads patch tokens/],
      [[inside('odd'), '--metrics', 'localisation', ...model], 4, /mask of 48 x 48 pixels.* 40 x 48/],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stdout, stderr } = await evaluate(...args);
      assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr + stdout, message);
      assert.ok(!stderr.includes('    at '), stderr);
    }
  });

  it('stops at an interruption and keeps what is done', async () => {
    const out = inside('stopped.json');
    const args = [
      inside('large'),
      '--model',
      detector,
      '--trust-model',
      '--faces',
      'whole',
      '--metrics',
      'all',
    ];
    const { code, stdout } = await runCli(['daam-eval', ...args, '--out', out, ...ONE_LANE], {
      onStart: (child) => {
        const poll = setInterval(() => {
          if (!existsSync(`${out}.partial.jsonl`)) return;
          clearInterval(poll); // a second signal would end it at once
          child.kill('SIGINT');
        }, 50);
        child.once('exit', () => clearInterval(poll));
      },
    });
    assert.equal(code, 130);
    assert.equal(stdout, '');
    await assert.rejects(readFile(out), { code: 'ENOENT' });
    assert.match(await readFile(`${out}.partial.jsonl`, 'utf8'), /^\{"folder":/);
  });
});
