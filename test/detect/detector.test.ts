import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { applyAffine, invertAffine } from '../../lib/face/alignment.js';
import { decodeImage } from '../../lib/image/decode.js';
import type { RgbImage } from '../../lib/image/rgbImage.js';
import { Detector } from '../../lib/kfd/detector.js';
import type { DetectorOptions } from '../../lib/kfd/options.js';
import { defaultModel, requireModelManifest } from '../../lib/setup/models.js';
import { photo, testModel } from './command.js';

const manifestOf = () =>
  testModel === undefined ? defaultModel('detector') : requireModelManifest(testModel);

/** Two copies of a picture side by side on a grey ground, the second half as large. */
async function twoFaces(): Promise<RgbImage> {
  const { data } = await decodeImage(photo('astronaut.jpg'));
  const canvas = new Uint8Array(900 * 512 * 3).fill(128);
  for (let y = 0; y < 512; y += 1) {
    canvas.set(data.subarray(y * 512 * 3, (y + 1) * 512 * 3), y * 900 * 3);
    if (y % 2 !== 0) continue;
    for (let x = 0; x < 256; x += 1) {
      const from = (y * 512 + 2 * x) * 3;
      canvas.set(data.subarray(from, from + 3), ((y / 2) * 900 + 600 + x) * 3);
    }
  }
  return { data: canvas, width: 900, height: 512, format: 'raw' };
}

describe('detect: the detector', () => {
  let detector: Detector;
  let folder: string;
  before(async function () {
    this.timeout(300_000);
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-detector-'));
    detector = await Detector.load({ model: testModel, lanes: 1, threadsPerLane: 1 });
  });
  after(async () => {
    await detector.dispose();
    await rm(folder, { recursive: true });
  });

  it('judges the largest face of a photograph, with a map and regions', async () => {
    const detection = await detector.detect(photo('astronaut.jpg'));
    assert.equal(detection.status, 'ok');
    assert.deepEqual(detection.input, { path: photo('astronaut.jpg'), width: 512, height: 512 });
    const [face, ...others] = detection.faces;
    assert.ok(face);
    assert.equal(others.length, 0);
    assert.ok(face.score >= 0 && face.score <= 1);
    assert.equal(face.verdict, face.score >= face.threshold ? 'fake' : 'real');
    assert.equal(face.threshold, (await manifestOf()).kfd?.threshold);
    assert.deepEqual(face.regions.map(({ name }) => name).sort(), [
      'center face',
      'full face',
      'left cheek',
      'left eye',
      'left jaw',
      'nose',
      'nose_ridge',
      'right cheek',
      'right eye',
      'right jaw',
    ]);
    const map = detection.maps[0];
    assert.ok(map?.values.length === 224 * 224 && map.values.every((value) => value >= 0 && value <= 1));
    const { decodeMs, faceMs, forwardMs, totalMs } = detection.timing;
    assert.ok(decodeMs > 0 && faceMs > 0 && forwardMs > 0 && totalMs >= decodeMs + faceMs);
    const { model } = detection;
    assert.deepEqual(
      [model.sha256, model.device, model.precision],
      [(await manifestOf()).sha256, 'cpu', 'fp32'],
    );
    assert.equal(model.maturity, (await manifestOf()).maturity);
  });

  it('lays the key points onto the template, and shows what the network saw', async () => {
    const { faces, maps, image } = await detector.detect(photo('astronaut.jpg'), { pixels: true });
    const map = maps[0];
    assert.ok(map?.crop && map.pixels && image);
    const template = (await manifestOf()).face?.template ?? [];
    template.forEach(([x, y], index) => {
      const [u, v] = applyAffine(
        invertAffine(map.crop ?? assert.fail()),
        faces[0]?.keypoints[index] ?? [0, 0],
      );
      assert.ok(
        Math.hypot(u - x, v - y) < 12,
        `point ${index} is ${Math.hypot(u - x, v - y).toFixed(1)} px away`,
      );
    });
    // the centre of the crop shows the picture's pixel there
    const [x, y] = applyAffine(map.crop, [112.5, 112.5]);
    for (let channel = 0; channel < 3; channel += 1) {
      const seen = map.pixels.data[(112 * 224 + 112) * 3 + channel] ?? 0;
      const there = image.data[(Math.floor(y) * 512 + Math.floor(x)) * 3 + channel] ?? 0;
      assert.ok(Math.abs(seen - there) < 25, `${seen} against ${there}`);
    }
  });

  it('judges all faces, or the whole picture, as asked', async () => {
    const picture = await twoFaces();
    const all = await detector.detect(picture, { faces: 'all' });
    assert.equal(all.faces.length, 2);
    const [large, small] = all.faces;
    assert.ok(large && small && large.box[2] > 1.6 * small.box[2]);
    assert.equal(all.maps.length, 2);
    const largest = await detector.detect(picture);
    assert.deepEqual(
      largest.faces.map(({ box }) => box),
      [large.box],
    );
    // the face may have shared a batch with the other one, which moves the last digits
    assert.ok(Math.abs((largest.faces[0]?.score ?? NaN) - large.score) < 1e-5);
    const whole = await detector.detect(picture, { faces: 'whole' });
    const wholeFace = whole.faces[0];
    assert.ok(wholeFace);
    assert.deepEqual(wholeFace.box, [0, 0, 900, 512]);
    assert.equal(wholeFace.confidence, null);
    assert.deepEqual(wholeFace.regions, []);
  });

  it('gives the same score for a path, bytes and pixels', async () => {
    const scores = await Promise.all(
      [
        photo('astronaut.jpg'),
        await readFile(photo('astronaut.jpg')),
        await decodeImage(photo('astronaut.jpg')),
      ].map(async (source) => (await detector.detect(source)).faces[0]?.score),
    );
    assert.ok(scores[0] !== undefined && Math.abs((scores[1] ?? 0) - scores[0]) < 1e-5);
    assert.ok(Math.abs((scores[2] ?? 0) - scores[0]) < 1e-5);
  });

  it('says no-face where there is none, without a score', async () => {
    const detection = await detector.detect({ data: new Uint8Array(200 * 100 * 3), width: 200, height: 100 });
    assert.equal(detection.status, 'no-face');
    assert.deepEqual(detection.faces, []);
    assert.equal(detection.error, null);
    assert.ok(!JSON.stringify(detection).includes('score'));
  });

  it('dumps arrays that give the same result when fed back in', async () => {
    const detection = await detector.detect(photo('astronaut.jpg'));
    const arrays = await detector.dump(photo('astronaut.jpg'));
    const shapes = Object.fromEntries(
      Object.entries(arrays).map(([name, { shape }]) => [name, shape.join('x')]),
    );
    assert.equal(shapes['input'], '1x3x224x224');
    assert.equal(shapes['p'], '1x2');
    assert.equal(shapes['M0'], '1x2x224x224');
    for (const name of ['g', 'F0', 'F1', 'F2', 'E', 'M1', 'M2'])
      assert.ok(name in arrays, `${name} is there`);
    assert.equal(shapes['S'], '1x2x224x224');
    const { input } = arrays;
    assert.ok(input);
    const again = await detector.detectTensor(input);
    assert.ok(Math.abs((again.faces[0]?.score ?? 0) - (detection.faces[0]?.score ?? 1)) < 1e-5);
    const map = detection.maps[0]?.values ?? assert.fail();
    assert.ok(again.maps[0]?.values.every((value, index) => Math.abs(value - (map[index] ?? NaN)) < 1e-4));
    const twice = await detector.detectTensor({
      shape: [2, 3, 224, 224],
      data: Float32Array.from([...input.data, ...new Float32Array(input.data.length)]),
    });
    assert.equal(twice.faces.length, 2);
    assert.ok(Math.abs((twice.faces[0]?.score ?? 0) - (again.faces[0]?.score ?? 1)) < 1e-5);
    assert.notDeepEqual(twice.maps[1]?.values, twice.maps[0]?.values);
  });

  it('refuses a selection of faces that it does not know', async () => {
    const options = { faces: 'biggest' as never };
    await assert.rejects(detector.detect(photo('astronaut.jpg'), options), {
      code: 'ERR_KFD_INVALID_ARGUMENT',
    });
  });

  it('refuses tensors of another shape and dumps without a face', async () => {
    const wrong = { shape: [1, 3, 32, 32], data: new Float32Array(3 * 32 * 32) };
    await assert.rejects(detector.detectTensor(wrong), { code: 'ERR_KFD_TENSOR_FORMAT' });
    const black = { data: new Uint8Array(64 * 64 * 3), width: 64, height: 64 };
    await assert.rejects(detector.dump(black), { code: 'ERR_KFD_NO_INPUT' });
  });

  it('streams bytes, paths and bad inputs in order', async () => {
    const inputs = [
      photo('astronaut.jpg'),
      'missing.jpg',
      await readFile(photo('astronaut-forged.jpg')),
      new Uint8Array(0),
    ];
    const statuses: string[] = [];
    for await (const { status, error } of detector.detectAll(inputs)) statuses.push(error?.code ?? status);
    assert.deepEqual(statuses, ['ok', 'ERR_KFD_FILE_NOT_FOUND', 'ok', 'ERR_KFD_IMAGE_DECODE']);
  });

  it('stops when it is told to', async () => {
    const early = AbortSignal.abort();
    await assert.rejects(detector.detect(photo('astronaut.jpg'), { signal: early }), {
      code: 'ERR_KFD_ABORTED',
    });
    const controller = new AbortController();
    const running = detector.detect(photo('astronaut.jpg'), { signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
    assert.equal((await detector.detect(photo('astronaut.jpg'))).status, 'ok', 'it still works');
  });

  it('tells what it is', async () => {
    const info = detector.info();
    assert.equal(info.model.name, (await manifestOf()).name);
    assert.equal(info.engine.kind, 'kfd');
    assert.match(info.faceModel.sha256, /^[0-9a-f]{64}$/);
  });

  it('takes another threshold', async () => {
    for (const [threshold, verdict] of [
      [0, 'fake'],
      [1, 'real'],
    ] as const) {
      const other = await Detector.load({ model: testModel, lanes: 1, threshold });
      const detection = await other.detect(photo('astronaut.jpg'));
      await other.dispose();
      assert.deepEqual(
        detection.faces.map((face) => [face.verdict, face.threshold]),
        [[verdict, threshold]],
      );
    }
  });

  describe('refuses to load', () => {
    const refusal = (options: unknown, code: string) =>
      assert.rejects(Detector.load(options as DetectorOptions), { code });

    it('what it does not offer', async () => {
      await refusal({ isolation: 'process' }, 'ERR_KFD_INVALID_ARGUMENT');
      await refusal({ precision: 'int8' }, 'ERR_KFD_INVALID_ARGUMENT');
      await refusal({ threshold: 7 }, 'ERR_KFD_INVALID_ARGUMENT');
    });

    it('a missing, a changed and an undescribed model', async () => {
      await refusal({ model: path.join(folder, 'none.pt') }, 'ERR_KFD_MODEL_NOT_FOUND');
      const manifest = await manifestOf();
      const copy = path.join(folder, path.basename(manifest.modelPath));
      await copyFile(manifest.modelPath, copy);
      await refusal({ model: copy }, 'ERR_KFD_MODEL_MANIFEST');
      await copyFile(manifest.manifestPath, path.join(folder, path.basename(manifest.manifestPath)));
      const bytes = await readFile(copy);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1; // one bit in the weights
      await writeFile(copy, bytes);
      await refusal({ model: copy }, 'ERR_KFD_MODEL_DIGEST');
    });

    it('a model of another kind', async () => {
      await refusal({ model: (await defaultModel('face')).modelPath }, 'ERR_KFD_MODEL_MISMATCH');
    });
  });

  it('loads a file without a manifest when it is trusted, and says that nothing is known about it', async () => {
    const trusted = path.join(folder, 'trusted.pt');
    const manifest = await manifestOf();
    await copyFile(manifest.modelPath, trusted);
    const other = await Detector.load({ model: trusted, trust: true, lanes: 1 });
    const detection = await other.detect(photo('astronaut.jpg'));
    await other.dispose();
    assert.equal(detection.model.maturity, 'unknown');
    assert.equal(detection.model.sha256, manifest.sha256);
  });

  it('refuses work after it was disposed of, once or twice', async () => {
    const other = await Detector.load({ model: testModel, lanes: 1 });
    await other.dispose();
    await other.dispose();
    await assert.rejects(other.detect(photo('astronaut.jpg')), { code: 'ERR_KFD_DISPOSED' });
  });
});
