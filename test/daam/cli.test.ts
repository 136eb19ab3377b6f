import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { formatNpy } from '../../lib/data/npy.js';
import { readNpz, writeNpz } from '../../lib/data/npz.js';
import type { FlowDocument } from '../../lib/daam/flowDocument.js';
import type { FloatArray, NamedArrays } from '../../lib/native/types.js';
import { writeModelManifest } from '../../lib/setup/models.js';
import { command, photo } from '../detect/command.js';
import {
  arrayOf,
  inputOf,
  modelOf,
  present,
  readCase,
  relativeError,
  type ReferenceCase,
} from '../native/reference.js';
import { take } from './recordedFlow.js';

/** The command `daam` as a user starts it, against the arrays that PyTorch computed (python/oracles). */

const ONE_LANE = ['--lanes', '1', '--threads-per-lane', '1'];
const daam = (args: readonly string[], options = {}) => command(['daam', ...args, ...ONE_LANE], options);
const lines = (text: string) => text.split('\n').filter((line) => line !== '');

describe('daam: the command', function () {
  this.timeout(300_000);
  let folder: string;
  const models = new Map<string, string>();

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-daam-'));
    for (const name of ['daam_deeper', 'daam_dinov2_like']) {
      const found = readCase(name);
      const model = path.join(folder, `${name}.pt`);
      await copyFile(modelOf(found), model);
      const draft = {
        name,
        kind: 'vit' as const,
        licence: 'Apache-2.0',
        source: 'python/oracles',
        input: inputOf(found),
      };
      await writeModelManifest(model, draft, false);
      await writeFile(path.join(folder, `${name}.npy`), formatNpy(arrayOf(found, 'image')));
      models.set(name, model);
    }
  });
  after(() => rm(folder, { recursive: true }));

  const modelFor = (name: string) => ['--model', present(models.get(name), name)];
  const tensorFor = (name: string) => ['--input-tensor', path.join(folder, `${name}.npy`)];

  /** A reference array [L,T,B,...] of one target as [B,L,...]. */
  function batchFirst(found: ReferenceCase, name: string, target: number): FloatArray {
    const chosen = take(arrayOf(found, name), 1, target);
    const [blocks = 0, batch = 0, ...rest] = chosen.shape;
    const images = Array.from({ length: batch }, (_, image) => take(chosen, 1, image).data);
    return { shape: [batch, blocks, ...rest], data: Float32Array.from(images.flatMap((data) => [...data])) };
  }

  /** Patch tokens of [B,L,N] as a grid. */
  function onGrid({ shape, data }: FloatArray, height: number, width: number): FloatArray {
    const [batch = 0, blocks = 0, tokens = 0] = shape;
    const cells = height * width;
    const kept = Array.from({ length: batch * blocks }, (_, row) => [
      ...data.subarray((row + 1) * tokens - cells, (row + 1) * tokens),
    ]);
    return { shape: [batch, blocks, height, width], data: Float32Array.from(kept.flat()) };
  }

  const positive = ({ shape, data }: FloatArray): FloatArray => ({
    shape,
    data: data.map((v) => Math.max(v, 0)),
  });

  for (const name of ['daam_deeper', 'daam_dinov2_like']) {
    it(`${name}: --format npz --input-tensor is PyTorch's, renderings within one level`, async () => {
      const found = readCase(name);
      const out = path.join(folder, `${name}-npz`);
      const targets = ['logit:3', 'probability:4'];
      const { code, stderr } = await daam([
        ...modelFor(name),
        ...tensorFor(name),
        ...targets.flatMap((target) => ['--target', target]),
        '--out',
        out,
        '--format',
        'npz',
      ]);
      assert.equal(code, 0, stderr);
      assert.deepEqual((await readdir(out)).sort(), [`${name}.logit-3.npz`, `${name}.probability-4.npz`]);
      for (const [slug, target] of [
        ['logit-3', 1],
        ['probability-4', 3],
      ] as const) {
        const arrays = await readNpz(path.join(out, `${name}.${slug}.npz`));
        const [, , , height = 0, width = 0] = present(found.bytes.get('render.linear'), 'render').shape;
        const U = onGrid(batchFirst(found, 'class.gradient.U_relu', target), height, width);
        assert.ok(relativeError(arrays['U'], U) < 1e-3, 'U');
        assert.ok(relativeError(arrays['L'], positive(U)) < 1e-3, 'L');
        assert.ok(relativeError(arrays['C'], batchFirst(found, 'class.gradient.C', target)) < 1e-3, 'C');
        assert.ok(relativeError(arrays['y'], take(arrayOf(found, 'expected.Y'), 0, target)) < 1e-3, 'y');
        for (const style of ['linear', 'sigmoid'] as const) {
          const { shape, data } = present(found.bytes.get(`render.${style}`), style);
          const size = data.length / (shape[0] ?? 1);
          const expected = data.subarray(target * size, (target + 1) * size);
          const levels = present(arrays[style], style);
          assert.deepEqual(levels.shape, shape.slice(1));
          levels.data.forEach((level, cell) =>
            assert.ok(Math.abs(level - (expected[cell] ?? NaN)) <= 1, `${style} ${cell}`),
          );
        }
      }
    });
  }

  it('writes every part of the exact split, which adds up', async () => {
    const name = 'daam_deeper';
    const found = readCase(name);
    const out = path.join(folder, 'direct');
    const archive = path.join(folder, `${name}.npz`);
    await writeNpz(archive, { input: arrayOf(found, 'image') });
    const { code, stderr } = await daam([
      ...modelFor(name),
      '--input-tensor',
      archive,
      '--target',
      'logit:3',
      '--coefficients',
      'direct',
      '--out',
      out,
      '--format',
      'npz',
    ]);
    assert.equal(code, 0, stderr);
    const arrays: NamedArrays = await readNpz(path.join(out, `${name}.npz`));
    for (const part of ['attention_bias', 'mlp'])
      assert.ok(relativeError(arrays[part], batchFirst(found, `class.direct.${part}`, 1)) < 1e-3, part);
    for (const part of ['embedding', 'norm_bias', 'head_bias', 'value'])
      assert.ok(relativeError(arrays[part], take(arrayOf(found, `class.direct.${part}`), 0, 1)) < 1e-3, part);
    const total = (part: string, image: number) => {
      const { shape, data } = present(arrays[part], part);
      const size = data.length / (shape[0] ?? 1);
      return data.subarray(image * size, (image + 1) * size).reduce((a, b) => a + b, 0);
    };
    for (const image of [0, 1]) {
      const parts = ['U', 'prefix_mass', 'attention_bias', 'mlp', 'embedding', 'norm_bias', 'head_bias'];
      const whole = parts.reduce((sum, part) => sum + total(part, image), 0);
      const value = arrays['value']?.data[image] ?? NaN;
      assert.ok(Math.abs(whole - value) < 1e-4 * Math.max(1, Math.abs(value)), `${whole} is not ${value}`);
      assert.ok(Math.abs(arrays['residual']?.data[image] ?? NaN) < 1e-4);
      assert.ok(Math.abs(total('U', image) - total('patches', image)) < 1e-4);
    }
  });

  it('explains the bundled detector: text for people, a page, pictures, a film, arrays and JSON', async () => {
    const out = path.join(folder, 'flow');
    const formats = ['--out', out, '--format', 'html,png,gif,npz,json'];
    const { code, stdout, stderr } = await daam([photo('astronaut-forged.jpg'), ...formats]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^.*astronaut-forged\.jpg {2}(fake|real), forgery score 0\.\d{3}/);
    assert.match(stdout, /half of the mass by block \d+ of 12, nine tenths by block \d+/);
    assert.match(stdout, /split of the first-order form: patches .* \(residual /);
    assert.equal(lines(stdout).filter((line) => /^ {2}\d+ +\d+\.\d %/.test(line)).length, 12);
    assert.match(stderr, /1 image, 0 without a flow/);
    const files = await readdir(out);
    assert.ok(files.every((file) => !file.endsWith('.tmp')));
    const pictures = Array.from(
      { length: 12 },
      (_, block) => `accumulated-${String(block + 1).padStart(2, '0')}.png`,
    );
    assert.deepEqual(
      files.sort(),
      [...pictures.map((each) => `-${each}`), '-sheet.png', '.gif', '.html', '.json', '.npz'].map(
        (end) => `astronaut-forged${end}`,
      ),
    );
    const film = await sharp(path.join(out, 'astronaut-forged.gif'), { animated: true }).metadata();
    assert.equal(film.pages, 12);
    const document = JSON.parse(
      await readFile(path.join(out, 'astronaut-forged.json'), 'utf8'),
    ) as FlowDocument;
    assert.equal(document.schema, 'kfd.daam/1');
    assert.deepEqual([document.rows, document.blocks, document.grid], ['all', 12, [16, 16]]);
    assert.equal(document.flows[0]?.target.name, 'forgery');
    assert.ok(Math.abs(document.flows[0].y - (document.verdict?.score ?? NaN)) < 1e-6);
    assert.equal(document.model.maturity !== null, true);
    const html = await readFile(path.join(out, 'astronaut-forged.html'), 'utf8');
    assert.ok(html.startsWith('<!doctype html>') && html.includes('kfd.daam/1'));
  });

  it('takes folders, several targets and --json, and goes on after a bad input', async () => {
    const album = path.join(folder, 'album');
    await mkdir(path.join(album, 'deep'), { recursive: true });
    await copyFile(photo('astronaut.jpg'), path.join(album, 'b.jpg'));
    await copyFile(photo('astronaut.jpg'), path.join(album, 'deep', 'b.jpg'));
    await writeFile(path.join(album, 'a.jpg'), 'only words');
    const out = path.join(folder, 'several');
    const targets = ['--target', 'max', '--target', 'difference:2,7', '--coefficients', 'direct'];
    const { code, stdout, stderr } = await daam([
      album,
      '-r',
      ...modelFor('daam_deeper'),
      ...targets,
      '--json',
      '--out',
      out,
      '--format',
      'npz,json',
    ]);
    assert.equal(code, 4, stderr);
    const results = JSON.parse(stdout) as (FlowDocument & { error?: { code: string } })[];
    assert.deepEqual(
      results.map(({ schema, error }) => error?.code ?? schema),
      ['ERR_KFD_IMAGE_DECODE', 'kfd.daam/1', 'kfd.daam/1'],
    );
    assert.deepEqual(
      results[1]?.flows.map(({ target }) => target.name),
      ['max', 'difference:2,7'],
    );
    assert.match(stderr, /failed: .*a\.jpg/);
    assert.deepEqual((await readdir(out)).sort(), [
      'b-2.difference-2-7.npz',
      'b-2.json',
      'b-2.max.npz',
      'b.difference-2-7.npz',
      'b.json',
      'b.max.npz',
    ]);
  });

  it('explains every face of a picture, a file each', async () => {
    const pair = path.join(folder, 'pair.png');
    const face = await sharp(photo('astronaut.jpg')).resize(320).png().toBuffer();
    await sharp({ create: { width: 640, height: 320, channels: 3, background: '#000' } })
      .composite([
        { input: face, left: 0, top: 0 },
        { input: face, left: 320, top: 0 },
      ])
      .png()
      .toFile(pair);
    const out = path.join(folder, 'faces');
    const { code, stdout, stderr } = await daam([pair, '--faces', 'all', '--out', out, '--format', 'json']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /pair\.png {2}face 1 of 2/);
    assert.deepEqual((await readdir(out)).sort(), ['pair-face1.json', 'pair-face2.json']);
  });

  it('builds a memory bank, uses it, and refuses it for another model', async () => {
    const photos = path.join(folder, 'photos');
    for (const [label, file] of [
      ['real', 'astronaut.jpg'],
      ['forged', 'astronaut-forged.jpg'],
    ] as const) {
      await mkdir(path.join(photos, label), { recursive: true });
      await copyFile(photo(file), path.join(photos, label, 'a.jpg'));
    }
    const bank = path.join(folder, 'bank.npz');
    const built = await command([
      'daam-bank',
      photos,
      ...modelFor('daam_deeper'),
      '--out',
      bank,
      ...ONE_LANE,
    ]);
    assert.equal(built.code, 0, built.stderr);
    assert.match(built.stdout, /2 features of 36 values; forged 1, real 1/);
    const used = await daam([
      photo('astronaut.jpg'),
      ...modelFor('daam_deeper'),
      '--target',
      `bank:${bank}`,
      '--coefficients',
      'signed-gradient',
      '--json',
    ]);
    assert.equal(used.code, 0, used.stderr);
    assert.equal((JSON.parse(used.stdout) as FlowDocument).flows[0]?.target.kind, 'bank');
    const foreign = await daam([photo('astronaut.jpg'), '--target', `bank:${bank}`]);
    assert.equal(foreign.code, 3, foreign.stderr);
    assert.match(foreign.stderr, /built with daam_deeper/);
  });

  it('takes a model without a manifest for a vision transformer of the size of the tensor, and says so', async () => {
    const bare = path.join(folder, 'bare.pt');
    await copyFile(modelOf(readCase('daam_deeper')), bare);
    const out = path.join(folder, 'bare');
    const args = ['--model', bare, ...tensorFor('daam_deeper'), '--out', out, '--format', 'npz'];
    const { code, stderr } = await daam(args);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /has no manifest.*A model file is a program/);
    assert.doesNotMatch((await daam([...args, '--trust-model'])).stderr, /manifest/);
  });

  it('says what is wrong with arguments, before anything is computed', async () => {
    const image = photo('astronaut.jpg');
    const vit = modelFor('daam_deeper');
    const wrong: [string[], number, RegExp][] = [
      [[], 5, /Nothing was given/],
      [[image, '--format', 'html'], 2, /Expected --out/],
      [[image, '--out', folder, '--format', 'html,bmp'], 2, /"bmp"/],
      [[image, '--target', 'cat'], 2, /"cat" is not known.*\nhint: Targets are max, logit:K/],
      [[image, '--coefficients', 'relu'], 2, /coefficients/],
      [[image, '--target', 'logit:1'], 2, /detector and has no class logits/],
      [[image, ...vit, '--target', 'forgery'], 2, /no forgery detector/],
      [[image, ...vit, '--target', 'logit:10'], 2, /from 0 to 9 but received 10/],
      [[image, ...vit, '--coefficients', 'class-row', '--rows', 'all'], 2, /class token only/],
      [[image, ...tensorFor('daam_deeper')], 2, /takes no images/],
      [[...vit, ...tensorFor('daam_dinov2_like')], 4, /\(B, 3, 64, 40\) but received \(2, 3, /],
      [[...vit, '--input-tensor', image], 4, /signature is missing/],
      [[...vit, path.join(folder, 'none.jpg')], 4, /does not exist/],
    ];
    for (const [args, code, pattern] of wrong) {
      const result = await daam(args);
      assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
      assert.match(result.stderr, pattern);
      assert.ok(!result.stderr.includes('    at '), 'no stack traces');
    }
  });

  it('is cancelled by Ctrl-C', async () => {
    const album = path.join(folder, 'many');
    await mkdir(album);
    for (let copy = 0; copy < 20; copy += 1)
      await copyFile(photo('astronaut.jpg'), path.join(album, `${copy}.jpg`));
    const out = path.join(folder, 'cancelled');
    const { code } = await daam([album, '--out', out, '--format', 'npz'], {
      onStart: (child: { stdout: NodeJS.ReadableStream | null; kill: (signal: 'SIGINT') => void }) => {
        child.stdout?.once('data', () => child.kill('SIGINT'));
      },
    });
    assert.equal(code, 130);
    assert.ok((await readdir(out)).every((file) => file.endsWith('.npz')));
  });
});
