import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { imageOfBatch } from '../../lib/image/networkView.js';
import { createMemoryBank, saveMemoryBank } from '../../lib/daam/memoryBank.js';
import type { FlowCoefficients, FlowOptions } from '../../lib/daam/options.js';
import { readTarget, type FlowTarget } from '../../lib/daam/target.js';
import type { TargetFlow } from '../../lib/daam/targetFlow.js';
import type { FloatArray } from '../../lib/native/types.js';
import { VisionTransformer } from '../../lib/vit/visionTransformer.js';
import {
  arrayOf,
  inputOf,
  modelOf,
  present,
  rampImage,
  readCase,
  relativeError,
  slowTensor,
  type ReferenceCase,
} from '../native/reference.js';
import { take } from './recordedFlow.js';

/** The engine's flows through the public API, against float64 autograd (python/oracles). */

const TOLERANCE = 1e-3; // of the largest value, in float32

/** Spelled targets, and vectors by what they weigh: the first image's, so they fit that image only. */
async function targetOf(found: ReferenceCase, index: number): Promise<FlowTarget> {
  const name = present(found.settings.get(`target.${index}.name`), 'name');
  if (!['feature', 'cosine', 'cosine-feature', 'bank'].includes(name)) return readTarget(name);
  return { kind: 'feature', weights: take(arrayOf(found, `target.${index}.weights`), 0, 0).data };
}

const indexOfTarget = (found: ReferenceCase, name: string): number =>
  Array.from({ length: Number(found.settings.get('targets')) }, (_, index) => index).find(
    (index) => found.settings.get(`target.${index}.name`) === name,
  ) ?? -1;

const lanes = { lanes: 1, threadsPerLane: 1 } as const;
const load = (found: ReferenceCase) =>
  VisionTransformer.load(modelOf(found), { input: inputOf(found), ...lanes });

/** [L] maps of a reference array [L,T,B,N] for one target and image, without prefix tokens. */
function referenceMaps(found: ReferenceCase, name: string, target: number, image: number, cells: number) {
  const { shape, data } = take(take(arrayOf(found, name), 1, target), 1, image);
  const [blocks = 0, tokens = 0] = shape;
  return Array.from({ length: blocks }, (_, block) =>
    data.slice((block + 1) * tokens - cells, (block + 1) * tokens),
  );
}

function largestError(actual: readonly Float32Array[], expected: readonly Float32Array[]): number {
  const joined = (maps: readonly Float32Array[]): FloatArray => {
    const data = Float32Array.from(maps.flatMap((map) => [...map]));
    return { shape: [data.length], data };
  };
  return relativeError(joined(actual), joined(expected));
}

function addUp(maps: readonly Float32Array[]): Float32Array[] {
  let sum = new Float64Array(maps[0]?.length ?? 0);
  return maps.map((map) =>
    Float32Array.from((sum = sum.map((value, cell) => value + Math.max(0, map[cell] ?? 0)))),
  );
}

describe('daam: flows of vision transformers', () => {
  const cases = [
    'daam_plain',
    'daam_layer_scale_registers',
    'daam_dinov2_like',
    'daam_distilled',
    'daam_clip_like',
    'daam_non_square',
    'daam_patch_positions',
    'daam_qk_norm',
    'daam_deeper',
    'daam_timm_deit',
    'daam_timm_distilled',
    'daam_timm_dinov2_registers',
    'daam_timm_deit3',
    'daam_timm_clip',
    'daam_timm_average_pool',
  ];
  const kinds: [FlowCoefficients, string][] = [
    ['gradient', 'gradient.U_relu'],
    ['signed-gradient', 'gradient.U'],
    ['class-row', 'class-row.U_relu'],
    ['direct', 'direct.U'],
  ];

  for (const name of cases) {
    it(`${name}: maps, accumulated maps and proofs of every kind`, async () => {
      const found = readCase(name);
      const tensor = arrayOf(found, 'image');
      await using vit = await load(found);
      const wanted = ['logit:3', 'difference:2,7', 'probability:4', 'feature']
        .map((target) => indexOfTarget(found, target))
        .filter((index) => index >= 0);
      const targets = await Promise.all(wanted.map((index) => targetOf(found, index)));
      for (const rows of ['class', 'all'] as const) {
        for (const [coefficients, array] of kinds) {
          const key = `${rows}.${array}`;
          if (!found.arrays.has(key)) continue;
          if (rows === 'all' && coefficients === 'class-row') continue;
          const [flow] = await vit.daamTensor(imageOfBatch(tensor, 0), { targets, coefficients, rows });
          for (const [place, index] of wanted.entries()) {
            const target = present(flow, 'flow').target(place);
            const expected = referenceMaps(found, key, index, 0, target.signed[0]?.length ?? 0);
            const what = `${key} ${target.name}`;
            assert.ok(largestError(target.signed, expected) < TOLERANCE, `${what}: maps`);
            assert.ok(largestError(target.accumulated, addUp(expected)) < TOLERANCE, `${what}: sums`);
            const y = take(arrayOf(found, 'expected.Y'), 0, index).data[0] ?? NaN;
            assert.ok(Math.abs(target.y - y) < 1e-4 * Math.max(1, Math.abs(y)), `${what}: y`);
            checkProof(target, what);
          }
        }
      }
    });
  }

  /** I15 and I4 as a user sees them. */
  function checkProof({ identityError, completeness }: TargetFlow, what: string): void {
    assert.ok(identityError < 1e-4, `${what}: identity ${identityError}`);
    assert.ok(completeness !== null);
    const { blocks, residual, ...parts } = completeness;
    const scale = Math.max(...Object.values(parts).map(Math.abs), 1e-6);
    assert.ok(Math.abs(residual) < 1e-4 * scale, `${what}: residual ${residual} of ${scale}`);
    assert.ok(blocks.length > 0);
  }

  it('says that attn.norm has no exact split, and still gives the gradient', async () => {
    const found = readCase('daam_attention_norm');
    await using vit = await load(found);
    const [flow] = await vit.daamTensor(imageOfBatch(arrayOf(found, 'image'), 0), { target: 'logit:3' });
    const target = present(flow, 'flow').target();
    const index = indexOfTarget(found, 'logit:3');
    const expected = referenceMaps(found, 'class.gradient.U_relu', index, 0, target.signed[0]?.length ?? 0);
    assert.ok(largestError(target.signed, expected) < TOLERANCE);
    assert.equal(target.completeness, null);
    assert.match(present(flow, 'flow').frame.notes.join(), /attn\.norm/);
    await assert.rejects(
      vit.daamTensor(imageOfBatch(arrayOf(found, 'image'), 0), { coefficients: 'direct' }),
      { code: 'ERR_KFD_MODEL_UNSUPPORTED' },
    );
  });

  it('takes all rows where there is no class token', async () => {
    const found = readCase('daam_no_class_token');
    await using vit = await load(found);
    const tensor = imageOfBatch(arrayOf(found, 'image'), 0);
    const [flow] = await vit.daamTensor(tensor, { target: 'logit:3' });
    const target = present(flow, 'flow').target();
    const index = indexOfTarget(found, 'logit:3');
    const expected = referenceMaps(found, 'all.gradient.U_relu', index, 0, target.signed[0]?.length ?? 0);
    assert.equal(flow?.rows, 'all');
    assert.ok(largestError(target.signed, expected) < TOLERANCE);
    assert.equal(target.coefficients, undefined);
    await assert.rejects(vit.daamTensor(tensor, { rows: 'class' }), { code: 'ERR_KFD_INVALID_ARGUMENT' });
  });

  it('takes all rows where the head pools patches, without being asked', async () => {
    const found = readCase('daam_patch_positions');
    await using vit = await load(found);
    const tensor = imageOfBatch(arrayOf(found, 'image'), 0);
    const [flow] = await vit.daamTensor(tensor, { target: 'logit:3', coefficients: 'direct' });
    const target = present(flow, 'flow').target();
    assert.equal(flow?.rows, 'all');
    checkProof(target, 'average pool');
    await assert.rejects(vit.daamTensor(tensor, { coefficients: 'class-row' }), {
      code: 'ERR_KFD_INVALID_ARGUMENT',
    });
  });

  it('signed maps do not depend on how value channels are written down, rectified ones do (I8)', async () => {
    const found = readCase('daam_reparametrised');
    await using vit = await load(found);
    await using flipped = await VisionTransformer.load(modelOf(found, 'flipped'), {
      input: inputOf(found),
      ...lanes,
    });
    const tensor = imageOfBatch(arrayOf(found, 'image'), 0);
    const maps = async (model: VisionTransformer, coefficients: FlowCoefficients) => {
      const [flow] = await model.daamTensor(tensor, { target: 'logit:3', coefficients });
      return present(flow, 'flow').target().signed;
    };
    for (const coefficients of ['signed-gradient', 'direct'] as const)
      assert.ok(largestError(await maps(flipped, coefficients), await maps(vit, coefficients)) < 1e-4);
    assert.ok(largestError(await maps(flipped, 'gradient'), await maps(vit, 'gradient')) > 1e-2);
  });

  describe('one model', () => {
    const found = readCase('daam_deeper');
    const tensor = arrayOf(found, 'image');
    let vit: VisionTransformer;
    before(async () => {
      vit = await VisionTransformer.load(modelOf(found), { input: inputOf(found), lanes: 2 });
    });
    after(() => vit.dispose());

    const untimed = (flow: object) => ({ ...(JSON.parse(JSON.stringify(flow)) as object), timing: 0 });

    it('a batch gives bit for bit what each image gives', async () => {
      const options: FlowOptions = { targets: ['max', 'probability:2'], perHead: true };
      const batch = await vit.daamTensor(tensor, options);
      assert.equal(batch.length, 2);
      for (const [index, flow] of batch.entries()) {
        const [single] = await vit.daamTensor(imageOfBatch(tensor, index), options);
        assert.deepEqual(flow.target(1).signed, present(single, 'flow').target(1).signed);
        assert.deepEqual(untimed(flow), untimed(present(single, 'flow')));
      }
      const images = [rampImage(90, 61), rampImage(33, 80), rampImage(40, 64)];
      const flows = await vit.daam(images, options);
      for (const [index, image] of images.entries()) {
        const single = await vit.daam(image, options);
        assert.deepEqual(untimed(present(flows[index], 'flow')), untimed(single));
      }
    });

    it('describes picture, crop and model in the document', async () => {
      const flow = await vit.daam(rampImage(80, 64), { pixels: true, path: 'ramp.png' });
      const { input, crop, network, grid, model, verdict } = flow.toJSON();
      assert.deepEqual(input, { path: 'ramp.png', width: 80, height: 64 });
      assert.deepEqual(crop, [2, 0, 0, 0, 1, 0]);
      assert.deepEqual([network, grid], [{ width: 40, height: 64 }, [8, 5]]);
      assert.deepEqual([model.sha256, model.maturity, verdict], [null, null, undefined]);
      assert.deepEqual([flow.picture?.width, flow.picture?.height], [40, 64]);
      assert.equal((await vit.daam(rampImage(80, 64))).picture, undefined);
    });

    it('shows the pixels of a ready-made tensor', async () => {
      const [flow] = await vit.daamTensor(imageOfBatch(tensor, 0), { pixels: true });
      const { data, width, height } = present(flow?.picture, 'picture');
      assert.deepEqual([width, height, data.length], [40, 64, 40 * 64 * 3]);
      const value = Math.round(255 * ((tensor.data[64 * 40 + 7] ?? 0) * 0.5 + 0.5)); // green of pixel 7
      assert.equal(data[7 * 3 + 1], Math.min(255, Math.max(0, value)));
    });

    it('streams blocks, last first or first first, and can be left', async () => {
      const image = rampImage(50, 50);
      for (const coefficients of ['gradient', 'direct'] as const) {
        const whole = await vit.daam(image, { coefficients });
        const seen: number[] = [];
        for await (const { block, targets } of vit.daamBlocks(image, { coefficients })) {
          seen.push(block);
          assert.deepEqual(targets[0]?.signed, whole.target().signed[block]);
          if (seen.length === 3) break;
        }
        assert.deepEqual(seen, coefficients === 'direct' ? [0, 1, 2] : [5, 4, 3]);
      }
    });

    it('stops when it is told to', async () => {
      const image = rampImage(50, 50);
      await assert.rejects(vit.daam(image, { signal: AbortSignal.abort() }), { code: 'ERR_KFD_ABORTED' });
      const controller = new AbortController();
      const steps = async (): Promise<void> => {
        for await (const step of vit.daamBlocks(image, { signal: controller.signal }))
          if (step.block === 4) controller.abort();
      };
      await assert.rejects(steps(), { code: 'ERR_KFD_ABORTED' });
      const many = new AbortController();
      const images = Array.from({ length: 50 }, () => image);
      const pending = vit.daam(images, { signal: many.signal });
      setTimeout(() => many.abort(), 30);
      await assert.rejects(pending, { code: 'ERR_KFD_ABORTED' });
      assert.equal((await vit.daam(image)).targets.length, 1, 'works on after that');
    });

    it('weighs the feature by a memory bank of this model only', async () => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-vit-bank-'));
      try {
        const sha256 = await vit.sha256();
        const images = [rampImage(50, 50), rampImage(90, 20), rampImage(20, 90)];
        const rows = await Promise.all(
          images.map(async (image, index) => ({ feature: await vit.feature(image), name: `n${index % 2}` })),
        );
        const bank = createMemoryBank(rows, { name: 'deeper', sha256 });
        const file = path.join(folder, 'bank.npz');
        await saveMemoryBank(file, bank);
        const flow = await vit.daam(rampImage(50, 50), {
          target: `bank:${file}`,
          coefficients: 'signed-gradient',
        });
        assert.equal(flow.target().name, `bank:${file}`);
        assert.ok(Math.abs(flow.target().completeness?.remainder ?? NaN) < 1e-4);
        const foreign = { ...bank, model: { name: 'other', sha256: '0'.repeat(64) } };
        await assert.rejects(vit.daam(rampImage(9, 9), { target: { kind: 'bank', bank: foreign } }), {
          code: 'ERR_KFD_MODEL_MISMATCH',
        });
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('refuses bad input, and says what is wrong', async () => {
      const wrong: [() => Promise<unknown>, string][] = [
        [() => vit.daamTensor(slowTensor(1, 48)), 'ERR_KFD_TENSOR_FORMAT'],
        [() => vit.daamTensor({ shape: [0, 3, 64, 40], data: new Float32Array() }), 'ERR_KFD_TENSOR_FORMAT'],
        [() => vit.daam('/nowhere/a.jpg'), 'ERR_KFD_FILE_NOT_FOUND'],
        [() => vit.daam(rampImage(9, 9), { target: 'logit:10' }), 'ERR_KFD_INVALID_ARGUMENT'],
        [() => vit.daam(rampImage(9, 9), { target: 'forgery' }), 'ERR_KFD_INVALID_ARGUMENT'],
        [() => vit.daam(rampImage(9, 9), { target: 'nonsense' }), 'ERR_KFD_INVALID_ARGUMENT'],
      ];
      for (const [call, code] of wrong) await assert.rejects(call, { code });
      const poisoned = imageOfBatch(tensor, 0);
      poisoned.data[5] = NaN;
      await assert.rejects(vit.daamTensor(poisoned), { code: 'ERR_KFD_NOT_FINITE' });
      const file = path.join(os.tmpdir(), `kfd-not-an-image-${process.pid}.jpg`);
      await writeFile(file, 'words');
      await assert.rejects(vit.daam(file), { code: 'ERR_KFD_IMAGE_DECODE' });
      await rm(file);
    });
  });
});
