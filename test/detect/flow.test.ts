import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Detector } from '../../lib/kfd/detector.js';
import { arrayOf, modelOf, present, readCase, relativeError } from '../native/reference.js';
import { take } from '../daam/recordedFlow.js';
import { detect, photo, testModel } from './command.js';

const ONE_LANE = ['--lanes', '1', '--threads-per-lane', '1'];

describe('detect: attention flow with the verdict', function () {
  this.timeout(300_000);
  let detector: Detector;
  before(async () => {
    detector = await Detector.load({ model: testModel, lanes: 1, threadsPerLane: 1 });
  });
  after(() => detector.dispose());

  it('comes over the same forward pass, and leaves the verdict as it is', async () => {
    const source = photo('astronaut-forged.jpg');
    const plain = await detector.detect(source);
    const flowing = await detector.detect(source, { flow: {}, pixels: true });
    const [face] = flowing.faces;
    const [flow] = flowing.flows;
    assert.equal(plain.flows.length, 0);
    assert.equal(plain.faces[0]?.flow, undefined);
    assert.ok(Math.abs((face?.score ?? NaN) - (plain.faces[0]?.score ?? NaN)) < 1e-6);
    const target = present(flow, 'flow').target('forgery');
    assert.ok(Math.abs(target.y - (face?.score ?? NaN)) < 1e-6);
    assert.equal(flow?.frame.verdict?.score, face?.score);
    assert.deepEqual(flow?.frame.crop, flowing.maps[0]?.crop);
    assert.deepEqual([flow?.picture?.width, flow?.picture?.height], [224, 224]);
    assert.ok(target.identityError < 1e-4);
    const { residual = NaN, mlp = NaN, patches = NaN } = target.completeness ?? {};
    assert.ok(Math.abs(residual) < 1e-4 * Math.max(Math.abs(mlp), Math.abs(patches)));
    assert.deepEqual(face?.flow?.[0]?.milestones, target.milestones);
    const json = JSON.stringify(flowing);
    assert.ok(json.length < 4000 && !json.includes('block_maps'), 'the JSON stays small');
  });

  it('explains several targets of the detector, all of them at once', async () => {
    const targets = ['forgery', 'class-token-forgery'];
    const { flows } = await detector.detect(photo('astronaut.jpg'), {
      flow: { targets, coefficients: 'direct' },
    });
    assert.deepEqual(
      flows[0]?.targets.map(({ name }) => name),
      targets,
    );
    await assert.rejects(detector.detect(photo('astronaut.jpg'), { flow: { target: 'max' } }), {
      code: 'ERR_KFD_INVALID_ARGUMENT',
    });
  });

  for (const name of ['daam_kfd', 'daam_kfd_wide', 'daam_trained']) {
    it(`${name}: maps of ready-made tensors are those of float64 autograd`, async () => {
      const found = readCase(name);
      await using small = await Detector.load({ model: modelOf(found), trust: true, lanes: 1 });
      const tensor = arrayOf(found, 'image');
      for (const [coefficients, array] of [
        ['gradient', 'gradient.U_relu'],
        ['direct', 'direct.U'],
      ] as const) {
        const { flows, faces } = await small.detectTensor(tensor, {
          flow: { targets: ['forgery', 'class-token-forgery'], coefficients, rows: 'all' },
        });
        assert.equal(flows.length, 2);
        for (const [image, flow] of flows.entries()) {
          for (const [index, target] of flow.targets.entries()) {
            const { shape, data } = take(take(arrayOf(found, `all.${array}`), 1, index), 1, image);
            const [blocks = 0, tokens = 0] = shape;
            const cells = target.signed[0]?.length ?? 0;
            const expected = Array.from({ length: blocks }, (_, block) => [
              ...data.subarray((block + 1) * tokens - cells, (block + 1) * tokens),
            ]).flat();
            const actual = Float32Array.from(target.signed.flatMap((map) => [...map]));
            const error = relativeError(
              { shape: [actual.length], data: actual },
              { shape: [expected.length], data: Float32Array.from(expected) },
            );
            // Ties of max-pooling, which depend on the processor: see test/native/flowParity.test.ts.
            const most = name === 'daam_trained' && target.name === 'forgery' ? 5e-3 : 1e-3;
            assert.ok(error < most, `${coefficients} ${target.name} of image ${image}: ${error}`);
          }
          const p = take(arrayOf(found, 'expected.p'), 0, image).data[1] ?? NaN;
          assert.ok(Math.abs((faces[image]?.score ?? NaN) - p) < 1e-4);
        }
      }
    });
  }

  it('detect --flow --report writes a page a face and links it; text says when the score forms', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-detect-flow-'));
    try {
      const report = path.join(folder, 'report');
      const { code, stdout, stderr } = await detect([
        photo('astronaut-forged.jpg'),
        '--flow',
        '--report',
        report,
        ...ONE_LANE,
      ]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /forgery: half of the mass by block \d+ of 12/);
      const page = (await readdir(report)).find((file) => file.endsWith('-flow.html'));
      const html = await readFile(path.join(report, 'report.html'), 'utf8');
      assert.ok(html.includes(`href="${present(page, 'a flow page')}"`));
      const index = JSON.parse(await readFile(path.join(report, 'report.json'), 'utf8')) as {
        files: string[];
      };
      assert.ok(index.files.includes(present(page, 'a flow page')));
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
