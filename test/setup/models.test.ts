import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';
import {
  defaultModel,
  readModelManifest,
  requireModelManifest,
  verifyModel,
  type ModelManifest,
} from '../../lib/setup/models.js';
import { runCli } from '../cli/runCli.js';
import { sha256, temporaryFolder } from './fakeTorch.js';

const CONTENT = Buffer.from('not a network, but it has a hash');

const VALID = {
  schema: 'kfd.model/1',
  name: 'tiny',
  kind: 'kfd',
  file: 'tiny.pt',
  bytes: CONTENT.length,
  sha256: sha256(CONTENT),
  licence: 'Apache-2.0',
  source: 'a test',
  input: { width: 224, height: 224, fit: 'stretch', mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
  vit: { heads: 6, patch: 14, prefixTokens: 1, layerNormEps: 1e-6, activation: 'gelu', taps: [5, 8, 11] },
  kfd: { labels: ['pristine', 'deepfake'], threshold: 0.5, logitScale: 100, promptTokens: 0, llmWidth: 576 },
  face: {
    alignment: 'similarity',
    points: ['nose'],
    template: [
      [1, 2],
      [3, 4],
    ],
    regions: {
      nose: [
        [0, 0],
        [1, 0],
        [1, 1],
      ],
    },
    naming: { lit: 0.5, minimum: 0.02, whole: 0.6, center: 0.6, part: 0.5, explained: 0.3 },
  },
  maturity: 'demonstration',
};

describe('model manifests', () => {
  let folder: string;
  let remove: () => void;
  let model: string;
  let manifestFile: string;

  beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    model = path.join(folder, 'tiny.pt');
    manifestFile = path.join(folder, 'tiny.kfd.json');
    writeFileSync(model, CONTENT);
    write(VALID);
  });
  afterEach(() => remove());

  const write = (content: unknown): void => writeFileSync(manifestFile, JSON.stringify(content));

  it('reads the same from the model and from the manifest', async () => {
    const byModel = await requireModelManifest(model);
    assert.deepEqual(await requireModelManifest(manifestFile), byModel);
    assert.equal(byModel.modelPath, model);
    assert.equal(byModel.manifestPath, manifestFile);
    assert.deepEqual(byModel.vit?.taps, [5, 8, 11]);
    assert.deepEqual(byModel.face?.regions?.['nose']?.[1], [1, 0]);
    assert.deepEqual(byModel.face.naming, VALID.face.naming);
    await verifyModel(byModel);
  });

  it('turns a value range into mean and deviation', async () => {
    const input = { width: 256, height: 256, fit: 'letterbox', range: [-1, 1] };
    write({ ...VALID, kind: 'face', input });
    assert.deepEqual((await requireModelManifest(model)).input, {
      width: 256,
      height: 256,
      fit: 'letterbox',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    });
  });

  const mistakes: [string, object, RegExp][] = [
    [
      'an unknown schema',
      { schema: 'kfd.model/9' },
      /"schema": expected one of "kfd\.model\/1", received "kfd\.model\/9"/,
    ],
    [
      'an unknown kind',
      { kind: 'llm' },
      /"kind": expected one of "kfd", "vit", "face", "explainer", received "llm"/,
    ],
    ['no name', { name: undefined }, /"name": expected a text that is not empty, received nothing/],
    ['no licence', { licence: '' }, /"licence": expected a text that is not empty, received ""/],
    ['a path as file', { file: '../tiny.pt' }, /"file": expected a file name without a folder/],
    [
      'a short hash',
      { sha256: 'abc' },
      /"sha256": expected 64 lower-case hexadecimal digits, received "abc"/,
    ],
    ['bytes as text', { bytes: '12' }, /"bytes": expected an integer of at least 1, received "12"/],
    ['an unknown fit', { input: { ...VALID.input, fit: 'squeeze' } }, /"input\.fit": expected one of/],
    [
      'two means',
      { input: { ...VALID.input, mean: [1, 2] } },
      /"input\.mean": expected three numbers, received \[1,2\]/,
    ],
    [
      'a falling range',
      { input: { ...VALID.input, range: [1, -1] } },
      /"input\.range": expected two rising numbers/,
    ],
    ['no vit part', { vit: undefined }, /"vit": expected an object, received nothing/],
    [
      'half a head',
      { vit: { ...VALID.vit, heads: 0.5 } },
      /"vit\.heads": expected an integer from 1 to 1024, received 0\.5/,
    ],
    [
      'a threshold above 1',
      { kfd: { ...VALID.kfd, threshold: 50 } },
      /"kfd\.threshold": expected a number from 0 to 1, received 50/,
    ],
    [
      'a share of 60',
      { face: { ...VALID.face, naming: { ...VALID.face.naming, whole: 60 } } },
      /"face\.naming\.whole": expected a number from 0 to 1, received 60/,
    ],
    [
      'half a naming rule',
      { face: { ...VALID.face, naming: { lit: 0.5 } } },
      /"face\.naming\.minimum": expected a number from 0 to 1, received nothing/,
    ],
    ['an unknown maturity', { maturity: 'superb' }, /"maturity": expected one of "demonstration"/],
    [
      'a line as region',
      {
        face: {
          regions: {
            nose: [
              [0, 0],
              [1, 1],
            ],
          },
        },
      },
      /"face\.regions\.nose": expected a list of at least 3 points/,
    ],
  ];
  for (const [name, change, message] of mistakes) {
    it(`${name}: the error names field, expected and received`, async () => {
      write({ ...VALID, ...change });
      await assert.rejects(readModelManifest(model), { code: 'ERR_KFD_MODEL_MANIFEST', message });
    });
  }

  it('what is no JSON object at all is refused', async () => {
    writeFileSync(manifestFile, '{"schema":');
    await assert.rejects(readModelManifest(model), {
      code: 'ERR_KFD_MODEL_MANIFEST',
      message: /expected JSON/,
    });
    write(['a list']);
    await assert.rejects(readModelManifest(model), {
      code: 'ERR_KFD_MODEL_MANIFEST',
      message: /expected an object/,
    });
  });

  it('a manifest of another file is refused', async () => {
    const other = path.join(folder, 'other.pt');
    copyFileSync(model, other);
    writeFileSync(path.join(folder, 'other.kfd.json'), JSON.stringify(VALID));
    await assert.rejects(readModelManifest(other), {
      code: 'ERR_KFD_MODEL_MANIFEST',
      message: /expected "other\.pt"/,
    });
  });

  it('a model without manifest is refused with the way out, and a missing model is another error', async () => {
    const bare = path.join(folder, 'bare.pt');
    writeFileSync(bare, CONTENT);
    assert.equal(await readModelManifest(bare), undefined);
    await assert.rejects(requireModelManifest(bare), {
      code: 'ERR_KFD_MODEL_MANIFEST',
      hint: /model manifest FILE.*--trust-model/,
    });
    for (const missing of ['missing.pt', 'missing.kfd.json']) {
      await assert.rejects(readModelManifest(path.join(folder, missing)), {
        code: 'ERR_KFD_MODEL_NOT_FOUND',
      });
    }
  });

  describe('verification', () => {
    let manifest: ModelManifest;
    beforeEach(async () => (manifest = await requireModelManifest(model)));

    it('finds one flipped bit, wherever it is', async () => {
      for (let at = 0; at < CONTENT.length; at += 1) {
        const changed = Buffer.from(CONTENT);
        changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
        writeFileSync(model, changed);
        await assert.rejects(verifyModel(manifest), {
          code: 'ERR_KFD_MODEL_DIGEST',
          message: new RegExp(`expected SHA-256 ${VALID.sha256}, received ${sha256(changed)}`),
        });
      }
    });

    it('shows both sizes of a cut file', async () => {
      writeFileSync(model, CONTENT.subarray(1));
      await assert.rejects(verifyModel(manifest), {
        code: 'ERR_KFD_MODEL_DIGEST',
        message: new RegExp(`expected ${CONTENT.length} bytes, received ${CONTENT.length - 1}`),
      });
    });

    it('stops when it is aborted', async () => {
      await assert.rejects(verifyModel(manifest, { signal: AbortSignal.abort() }), {
        code: 'ERR_KFD_ABORTED',
      });
    });
  });

  it('the models of the package are what their manifests say', async () => {
    for (const kind of ['detector', 'face'] as const) {
      const manifest = await defaultModel(kind);
      await verifyModel(manifest);
      assert.equal(manifest.kind, kind === 'detector' ? 'kfd' : 'face');
    }
  });

  describe('kfd-native model', () => {
    it('manifest writes what verify accepts, and replaces nothing unasked', async () => {
      const file = path.join(folder, 'mine.pt');
      writeFileSync(file, CONTENT);
      const args = ['model', 'manifest', file, '--kind', 'vit', '--heads', '6', '--patch', '14'];
      const legal = ['--licence', 'MIT', '--source', 'own training', '--size', '196', '224'];
      assert.equal((await runCli(args)).code, 2, 'licence and source must be given');
      assert.equal((await runCli([...args, ...legal])).code, 0);
      const written = await requireModelManifest(file);
      assert.equal(written.sha256, VALID.sha256);
      assert.equal(written.input.width, 196);
      assert.equal((await runCli(['model', 'verify', file])).code, 0);
      const again = await runCli([...args, ...legal, '--name', 'renamed']);
      assert.equal(again.code, 2);
      assert.match(again.stderr, /exists already/);
      assert.equal((await runCli([...args, ...legal, '--name', 'renamed', '--force'])).code, 0);
      assert.equal((await requireModelManifest(file)).name, 'renamed');
    });

    it('manifest --like takes over what is not given', async () => {
      const file = path.join(folder, 'mine.pt');
      writeFileSync(file, CONTENT);
      const { code } = await runCli([
        'model',
        'manifest',
        file,
        '--like',
        manifestFile,
        '--threshold',
        '0.7',
      ]);
      assert.equal(code, 0);
      const written = await requireModelManifest(file);
      assert.deepEqual(written.face, (await requireModelManifest(model)).face);
      assert.equal(written.kfd?.threshold, 0.7);
      assert.equal(written.maturity, 'research');
    });

    it('manifest refuses to write what could not be read', async () => {
      const file = path.join(folder, 'mine.pt');
      writeFileSync(file, CONTENT);
      const { code } = await runCli(['model', 'manifest', file, '--like', manifestFile, '--threshold', '7']);
      assert.equal(code, 3);
      assert.ok(!existsSync(path.join(folder, 'mine.kfd.json')));
    });

    it('verify goes on after a bad file and tells all in JSON', async () => {
      const bad = path.join(folder, 'bad.pt');
      writeFileSync(bad, 'other');
      writeFileSync(path.join(folder, 'bad.kfd.json'), JSON.stringify({ ...VALID, file: 'bad.pt' }));
      const { code, stdout, stderr } = await runCli(['model', 'verify', '--json', bad, model]);
      assert.equal(code, 3);
      assert.match(stderr, /bad\.pt: expected \d+ bytes/);
      const { schema, models } = JSON.parse(stdout) as { schema: string; models: { ok: boolean }[] };
      assert.equal(schema, 'kfd.model-verify/1');
      assert.deepEqual(
        models.map(({ ok }) => ok),
        [false, true],
      );
    });

    it('info shows maturity, licence and hash', async () => {
      const { code, stdout } = await runCli(['model', 'info', model, '--no-load']);
      assert.equal(code, 0);
      for (const text of ['demonstration', 'Apache-2.0', VALID.sha256])
        assert.ok(stdout.includes(text), text);
    });
  });

  it('weights/manifest.json names files that exist', () => {
    const weights = path.join(packageRoot(), 'weights');
    const index = JSON.parse(readFileSync(path.join(weights, 'manifest.json'), 'utf8')) as Record<
      string,
      string
    >;
    for (const kind of ['detector', 'face'])
      assert.ok(existsSync(path.join(weights, index[kind] ?? 'none')), kind);
  });
});
