import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CANONICAL_REGIONS } from '../../lib/face/canonical.js';
import { rasterizePolygon } from '../../lib/face/regions.js';
import { Detector } from '../../lib/kfd/detector.js';
import { promptsOf } from '../../lib/kfd/evidence.js';
import type { Engine } from '../../lib/native/engine.js';
import { digestFile } from '../../lib/setup/digest.js';
import { defaultModel, requireModelManifest } from '../../lib/setup/models.js';
import { arrayOf, modelOf, present, readCase } from '../native/reference.js';
import { temporaryFolder } from '../setup/fakeTorch.js';
import { photo, testModel } from './command.js';

/** The detector of PyTorch's case `prompts`, and a manifest of an explainer made of its prompts file. */
const reference = readCase('prompts');
const detectorFile = modelOf(reference, 'detector');
const WIDTH = 24;
const TOKENS = 9;

async function writeExplainer(folder: string, change: object = {}): Promise<string> {
  const file = path.join(folder, 'tiny.pt');
  copyFileSync(modelOf(reference, 'prompts'), file);
  const manifest = path.join(folder, 'tiny.kfd.json');
  const hash = 'ab'.repeat(32);
  const explainer = {
    template: 'kfd.prefix/1',
    detector: { name: 'case', sha256: (await digestFile(detectorFile)).sha256 },
    languageModel: {
      name: 'none',
      file: 'none.gguf',
      bytes: 1,
      sha256: hash,
      package: 'none==1.0',
      packageSha256: hash,
      licence: 'none',
    },
    adapter: { file: 'none-lora.gguf', bytes: 1, sha256: hash, scale: 1 },
    promptTokens: TOKENS,
    width: WIDTH,
    placeholders: [3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    ...change,
  };
  const known = {
    schema: 'kfd.model/1',
    name: 'tiny',
    kind: 'explainer',
    file: 'tiny.pt',
    maturity: 'demonstration',
  };
  const legal = { licence: 'none', source: 'a test' };
  writeFileSync(manifest, JSON.stringify({ ...known, ...legal, ...(await digestFile(file)), explainer }));
  return manifest;
}

describe('detect: evidence for an explainer', function () {
  this.timeout(300_000);
  let folder: string;
  let remove: () => void;
  let manifest: string;
  let detector: Detector;
  const load = (options: object = {}): Promise<Detector> =>
    Detector.load({ model: detectorFile, trust: true, lanes: 1, threadsPerLane: 1, ...options });

  before(async () => {
    ({ folder, remove } = temporaryFolder());
    manifest = await writeExplainer(folder);
    detector = await load({ explainer: manifest });
  });
  after(async () => {
    await detector.dispose();
    remove();
  });

  it('is PyTorch’s for every image of a batch, and only when it is asked for', async () => {
    const tensor = arrayOf(reference, 'image');
    const { faces } = await detector.detectTensor(tensor, { evidence: true });
    assert.equal(faces.length, 3);
    const { sha256 } = await digestFile(path.join(folder, 'tiny.pt'));
    const expected = { P: arrayOf(reference, 'detector.P').data, V: arrayOf(reference, 'detector.V').data };
    for (const [index, face] of faces.entries()) {
      const prompts = present(promptsOf(face), 'prompts');
      assert.deepEqual([prompts.tokens, prompts.width, prompts.explainerSha256], [TOKENS, WIDTH, sha256]);
      const near = (actual: Float32Array, wanted: Float32Array): void => {
        assert.equal(actual.length, wanted.length);
        for (const [i, value] of actual.entries()) assert.ok(Math.abs(value - (wanted[i] ?? NaN)) < 1e-4);
      };
      near(prompts.visual, expected.V.subarray(index * WIDTH, (index + 1) * WIDTH));
      const size = TOKENS * WIDTH;
      near(prompts.forgery, expected.P.subarray(index * size, (index + 1) * size));
    }
    const plain = await detector.detectTensor(tensor);
    assert.ok(plain.faces.every((face) => promptsOf(face) === undefined));
  });

  it('comes with a photograph and with its flow, the same, and is no part of the JSON', async () => {
    const source = photo('astronaut.jpg');
    const plain = await detector.detect(source);
    const evident = await detector.detect(source, { evidence: true });
    const flowing = await detector.detect(source, { evidence: true, flow: { targets: ['forgery'] } });
    assert.deepEqual({ ...evident, timing: null }, { ...plain, timing: null });
    assert.equal(promptsOf(plain.faces[0] ?? assert.fail()), undefined);
    const [prompts, again] = [evident, flowing].map(({ faces }) =>
      present(promptsOf(faces[0] ?? assert.fail()), 'prompts'),
    );
    prompts?.visual.forEach((value, i) => assert.ok(Math.abs(value - (again?.visual[i] ?? NaN)) < 1e-4));
    prompts?.forgery.forEach((value, i) => assert.ok(Math.abs(value - (again?.forgery[i] ?? NaN)) < 1e-4));
    const [back] = (JSON.parse(JSON.stringify(evident)) as typeof evident).faces;
    assert.equal(promptsOf(back ?? assert.fail()), undefined);
  });

  it('has none to give without an explainer', async () => {
    await using bare = await load({ explainer: false });
    assert.equal(bare.info().explainer, null);
    const { faces } = await bare.detect(photo('astronaut.jpg'), { evidence: true });
    assert.equal(promptsOf(faces[0] ?? assert.fail()), undefined);
    // the package's own explainer, where it has one, belongs to another detector
    await using usual = await load();
    assert.equal(usual.info().explainer, null);
  });

  it('says which explainer it comes from', () => {
    const { explainer, engine } = detector.info();
    assert.equal(explainer?.name, 'tiny');
    assert.deepEqual([engine.promptTokens, engine.promptWidth], [TOKENS, WIDTH]);
  });

  it('refuses an explainer of another detector, of other prompts, and a changed file', async () => {
    const { folder: other, remove: removeOther } = temporaryFolder();
    const refuse = (file: string, code: string, message: RegExp): Promise<void> =>
      assert.rejects(load({ explainer: file }), { code, message });
    try {
      const foreign = await writeExplainer(other, { detector: { name: 'x', sha256: 'ab'.repeat(32) } });
      await refuse(foreign, 'ERR_KFD_MODEL_MISMATCH', /expected an explainer for detector .* for x/);
      const wide = await writeExplainer(other, { width: 32 });
      await refuse(wide, 'ERR_KFD_MODEL_MISMATCH', /9 prompts of width 32, received 9 of width 24/);
      const good = await writeExplainer(other);
      writeFileSync(path.join(other, 'tiny.pt'), 'changed');
      await refuse(good, 'ERR_KFD_MODEL_DIGEST', /expected \d+ bytes, received 7/);
      await refuse(path.join(other, 'none.kfd.json'), 'ERR_KFD_MODEL_NOT_FOUND', /none/);
    } finally {
      removeOther();
    }
  });

  it('leaves an engine that it was given alive when the explainer is refused', async () => {
    const { Engine: NativeEngine } = await import('../../lib/native/engine.js');
    const engine: Engine = await NativeEngine.create({ lanes: 1, threadsPerLane: 1 });
    await assert.rejects(load({ engine, explainer: path.join(folder, 'none.kfd.json') }));
    assert.equal(engine.stats().failed, 0);
    await engine.dispose();
  });
});

describe('detect: regions that stand out', function () {
  this.timeout(300_000);
  let detector: Detector;
  before(async () => {
    detector = await Detector.load({ model: testModel, lanes: 1, threadsPerLane: 1, explainer: false });
  });
  after(() => detector.dispose());

  it('are named on a fake only, out of the map’s own regions, and with the extent', async () => {
    const manifest =
      testModel === undefined ? await defaultModel('detector') : await requireModelManifest(testModel);
    const polygons = manifest.face?.regions ?? CANONICAL_REGIONS;
    for (const [name, verdict] of [
      ['astronaut.jpg', 'real'],
      ['astronaut-forged.jpg', 'fake'],
    ] as const) {
      const { faces, maps } = await detector.detect(photo(name));
      const [face] = faces;
      assert.ok(face && face.extent !== null);
      if (testModel === undefined) assert.equal(face.verdict, verdict);
      if (face.verdict === 'real') assert.deepEqual(face.namedRegions, []);
      const known = face.regions.map((region) => region.name);
      assert.ok(face.namedRegions.length <= 3 && face.namedRegions.every((region) => known.includes(region)));
      assert.ok(face.extent >= 0 && face.extent <= 1 && face.extent === Number(face.extent.toFixed(4)));
      const values = present(maps[0], 'map').values;
      const whole = rasterizePolygon(present(polygons['full face'], 'whole face'));
      const share = whole.filter((index) => (values[index] ?? 0) >= 0.5).length / whole.length;
      assert.ok(Math.abs(face.extent - share) < 1e-4);
    }
  });

  it('are not named in a crop that is not canonical', async () => {
    const { faces } = await detector.detect(photo('astronaut-forged.jpg'), { faces: 'whole' });
    assert.deepEqual([faces[0]?.namedRegions, faces[0]?.extent], [[], null]);
  });
});
