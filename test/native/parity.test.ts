import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { Engine } from '../../lib/native/engine.js';
import type { Affine, Hooks, NativeModelOptions } from '../../lib/native/types.js';
import { arrayOf, inputOf, modelOf, present, readCase, referenceFolder, relativeError } from './reference.js';

const TOLERANCE = 1e-5;

describe('results of the addon against PyTorch', () => {
  let engine: Engine;
  before(async () => (engine = await Engine.create({ lanes: 1, threadsPerLane: 1 })));
  after(() => engine.dispose());

  const vits = readdirSync(referenceFolder()).filter((name) => name.startsWith('vit_'));

  it('finds the cases', () => assert.ok(vits.length >= 10, vits.join()));

  for (const name of vits) {
    it(`${name}: logits and every hook, scripted and traced`, async () => {
      const reference = readCase(name);
      const tensor = arrayOf(reference, 'image');
      const known = new Set(reference.arrays.keys());
      for (const [kind, file] of reference.models) {
        const options: NativeModelOptions = { kind: 'vit', input: inputOf(reference) };
        if (kind === 'traced') options.heads = Number(reference.settings.get('heads'));
        const model = await engine.load(file, options);
        const depth = model.info.depth;
        const hooks = hooksFor(name, depth, arrayOf(reference, 'direction').data);
        const { arrays } = await model.run({ tensor, hooks });
        const names = Object.keys(arrays).filter((key) => known.has(`expected.${key}`));
        assert.ok(names.length >= 1 + Object.keys(hooks).length, names.join());
        for (const key of names) {
          const error = relativeError(arrays[key], arrayOf(reference, `expected.${key}`));
          assert.ok(error <= TOLERANCE, `${kind} ${key}: relative error ${error}`);
        }
        model.dispose();
      }
    });
  }

  it('streams the same rows block by block', async () => {
    const reference = readCase('vit_plain');
    const model = await engine.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
    const tensor = arrayOf(reference, 'image');
    const whole = await model.run({ tensor, hooks: { classToken: true, classAttention: true } });
    const depth = model.info.depth;
    let blocks = 0;
    for await (const event of model.blocks({ tensor, hooks: { classToken: true, classAttention: true } })) {
      assert.equal(event.block, blocks);
      assert.equal(event.last, blocks === depth - 1);
      for (const key of ['class_token', 'class_attention']) {
        const all = present(whole.arrays[key], key).data;
        const row = present(event.arrays[key], key).data;
        assert.deepEqual(row, all.subarray(blocks * row.length, (blocks + 1) * row.length), key);
      }
      if (event.last) assert.deepEqual(event.arrays['logits'], whole.arrays['logits']);
      blocks++;
    }
    assert.equal(blocks, depth);
    model.dispose();
  });

  for (const name of ['kfd', 'kfd_prompts']) {
    it(`${name}: probabilities, map and intermediates`, async () => {
      const reference = readCase(name);
      const model = await engine.load(modelOf(reference), { kind: 'kfd', input: inputOf(reference) });
      const { arrays } = await model.run({ tensor: arrayOf(reference, 'image'), intermediates: true });
      const expected = [...reference.arrays.keys()].filter((key) => key.startsWith('expected.'));
      assert.ok(expected.length >= 8);
      for (const key of expected) {
        const error = relativeError(arrays[key.slice('expected.'.length)], arrayOf(reference, key));
        assert.ok(error <= TOLERANCE, `${key}: relative error ${error}`);
      }
      model.dispose();
    });
  }

  it('module: outputs of any module by position', async () => {
    const reference = readCase('module');
    const model = await engine.load(modelOf(reference), { kind: 'module', input: inputOf(reference) });
    const { arrays } = await model.run({ tensor: arrayOf(reference, 'image') });
    for (const key of ['output0', 'output1']) {
      assert.ok(relativeError(arrays[key], arrayOf(reference, `expected.${key}`)) <= TOLERANCE, key);
    }
    model.dispose();
  });

  // The C++ tests check every size and fit; here it is the way through the addon.
  for (const name of ['fit_00', 'warp_00', 'warp_03']) {
    it(`${name}: preprocessing gives Pillow's pixels`, async () => {
      const reference = readCase(name);
      const { shape, data } = present(reference.bytes.get('image'), 'image');
      const [height = 0, width = 0] = shape;
      const numbers = Array.from({ length: 6 }, (_, i) => Number(reference.settings.get(`m${i}`)));
      const crop = reference.settings.has('m0') ? (numbers as unknown as Affine) : undefined;
      const spec = inputOf(reference);
      const { arrays } = await engine.preprocess(spec, { data, width, height }, { crop });
      const expected = present(reference.bytes.get('expected.pixels'), 'pixels');
      const pixels = present(arrays['pixels'], 'pixels');
      assert.deepEqual(pixels.shape, expected.shape);
      let different = 0;
      for (const [i, byte] of expected.data.entries()) {
        const off = Math.abs((pixels.data[i] ?? NaN) - byte);
        assert.ok(off <= 1, `value ${i} is ${pixels.data[i] ?? 'missing'} instead of ${byte}`);
        if (off > 0) different++;
      }
      assert.ok(different <= 0.005 * expected.data.length, `${different} of ${expected.data.length} differ`);
      const normalised = present(arrays['input'], 'input');
      assert.deepEqual(normalised.shape, [1, 3, spec.height, spec.width]);
      // channel 1 of the first pixel: (byte / 255 - 0.5) / 0.5
      const green = normalised.data[spec.width * spec.height] ?? NaN;
      assert.ok(Math.abs(green - ((pixels.data[1] ?? NaN) / 255 - 0.5) / 0.5) < 1e-6);
    });
  }
});

/** Every hook that has a value for this kind of model. */
function hooksFor(name: string, depth: number, direction: Float32Array): Hooks {
  const tokens = Array.from({ length: depth }, (_, block) => block);
  if (name === 'vit_no_class_token') return { tokens };
  const rows = { tokens, classToken: true, classAttention: true, prefixMass: true };
  // A norm inside the attention mixes the tokens' values: they have no shares of their own.
  return name === 'vit_attention_norm' ? rows : { ...rows, direction };
}
