import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { Engine } from '../../lib/native/engine.js';
import type { EngineFlow } from '../../lib/native/flow.js';
import type { BlockEvent, NativeFlowTarget } from '../../lib/native/types.js';
import { blocksOf, expectedRow, passesOf, rowsOf, targetsOf, type ReferencePass } from './flowReference.js';
import {
  arrayOf,
  inputOf,
  largestDifference,
  modelOf,
  present,
  readCase,
  referenceFolder,
  relativeError,
  type ReferenceCase,
} from './reference.js';

const TOLERANCE = 1e-4;

describe('attention flows against PyTorch in float64', () => {
  let engine: Engine;
  before(async () => (engine = await Engine.create({ lanes: 1, threadsPerLane: 1 })));
  after(() => engine.dispose());

  const names = readdirSync(referenceFolder()).filter((name) => name.startsWith('daam_'));
  const withFlows = names.filter((name) => readCase(name).settings.has('targets'));

  it('finds the cases', () => assert.ok(withFlows.length >= 8, withFlows.join()));

  for (const name of withFlows) {
    it(`${name}: every pass over one forward`, async () => {
      const reference = readCase(name);
      const kind = reference.arrays.has('expected.p') ? 'kfd' : 'vit';
      const model = await engine.load(modelOf(reference), { kind, input: inputOf(reference) });
      using flow = model.flow({ tensor: arrayOf(reference, 'image') });
      const outputs = (await flow.forward()).arrays;
      for (const key of ['logits', 'feature', 'p']) {
        const expected = reference.arrays.get(`expected.${key}`);
        if (expected !== undefined) assert.ok(relativeError(outputs[key], expected) <= TOLERANCE, key);
      }
      const passes = passesOf(reference);
      assert.ok(passes.length > 0);
      for (const pass of passes) await comparePass(flow, reference, pass);
      model.dispose();
    });

    if (!readCase(name).arrays.has('class.gradient.U')) continue; // no class token, no class row
    it(`${name}: the baselines`, async () => {
      const reference = readCase(name);
      const kind = reference.arrays.has('expected.p') ? 'kfd' : 'vit';
      const model = await engine.load(modelOf(reference), { kind, input: inputOf(reference) });
      using flow = model.flow({ tensor: arrayOf(reference, 'image') });
      await flow.forward();
      const targets = targetsOf(reference);
      await flow.begin({ coefficients: 'gradient', baselines: true, targets });
      const events = await blocksOf(flow);
      for (const [block, { arrays }] of events.entries()) {
        for (const key of ['attention', 'rollout']) {
          const expected = rowsOf(arrayOf(reference, `baseline.${key}`), [block]);
          const row = { shape: expected.shape.slice(1), data: expected.data };
          assert.ok(relativeError(arrays[key], row) <= TOLERANCE, `${key}, block ${block}`);
        }
      }
      const gradcam = arrayOf(reference, 'baseline.gradcam');
      assert.ok(relativeError(events.at(-1)?.arrays['gradcam'], gradcam) <= TOLERANCE, 'gradcam');
      model.dispose();
    });
  }
});

/** Runs one pass and compares all of its arrays. */
async function comparePass(
  flow: EngineFlow,
  reference: ReferenceCase,
  { prefix, chosen, pass }: ReferencePass,
): Promise<void> {
  const { arrays } = await flow.begin(pass);
  const y = rowsOf(arrayOf(reference, 'expected.y'), chosen);
  assert.ok(relativeError(arrays['y'], y) <= TOLERANCE, `${prefix}: y`);
  const events = await blocksOf(flow);
  assert.equal(events.filter((event) => event.last).length, 1, prefix);
  for (const key of reference.arrays.keys()) {
    const name = key.slice(prefix.length + 1);
    if (!key.startsWith(`${prefix}.`) || name === 'C_rows') continue;
    compareBlocks(events, name, reference, key, chosen);
  }
}

/** The terms of one sum: they may cancel, so they share a scale. */
const PARTS = ['U', 'attention_bias', 'mlp', 'embedding', 'norm_bias', 'head_bias', 'value', 'total'];

/** Relative to the target's largest value of all blocks: one block alone may hold nothing but rounding. */
function compareBlocks(
  events: readonly BlockEvent[],
  name: string,
  reference: ReferenceCase,
  key: string,
  chosen: readonly number[],
): void {
  const isSum = arrayOf(reference, key).shape.length === 2;
  const prefix = key.slice(0, -name.length);
  const parts = PARTS.map((part) => prefix + part).filter((part) => reference.arrays.has(part));
  const scaleKeys = PARTS.includes(name) && name !== 'U' ? parts : [key];
  for (const [place, target] of chosen.entries()) {
    // Zeros only, such as the head's bias where there is none, are compared as they are.
    const scale = Math.max(...scaleKeys.map((scaleKey) => largestOf(reference, scaleKey, target))) || 1;
    for (const { block, last, arrays } of events) {
      if (isSum && !last) continue;
      const actual = arrays[name] === undefined ? undefined : rowsOf(arrays[name], [place]);
      const error = largestDifference(actual, expectedRow(reference, key, block, [target])) / scale;
      const most = toleranceOf(reference, target);
      assert.ok(error <= most, `${key}, target ${target}, block ${block}: relative error ${error}`);
    }
  }
}

function largestOf(reference: ReferenceCase, key: string, target: number): number {
  const isSum = arrayOf(reference, key).shape.length === 2;
  const depth = isSum ? 1 : (arrayOf(reference, key).shape[0] ?? 0);
  let largest = 0;
  for (let block = 0; block < depth; block++) {
    for (const value of expectedRow(reference, key, block, [target]).data) {
      largest = Math.max(largest, Math.abs(value));
    }
  }
  return largest;
}

/**
 * The trained classifier max-pools smooth maps: where two values nearly tie, float32 takes the other branch. Single
 * entries of its derivative are off by 0.7 % of the maximum, in PyTorch's own float32 autograd too; of that little
 * reaches the maps. How much depends on the processor: .0002 on one with bfloat16 units by AMD, .0010 on one by Intel.
 */
function toleranceOf(reference: ReferenceCase, target: number): number {
  const isForgery = reference.settings.get(`target.${target}.kind`) === 'forgery';
  return isForgery && reference.name === 'daam_trained' ? 5e-3 : TOLERANCE;
}

describe('attention flows of a detector', () => {
  it('explains p and the class token, and p is that of run()', async () => {
    await using engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
    const name = readdirSync(referenceFolder()).find((found) => found.startsWith('daam_kfd'));
    const reference = readCase(present(name, 'a case daam_kfd'));
    const model = await engine.load(modelOf(reference), { kind: 'kfd', input: inputOf(reference) });
    const tensor = arrayOf(reference, 'image');
    using flow = model.flow({ tensor });
    const { arrays } = await flow.forward();
    const run = await model.run({ tensor });
    for (const key of ['p', 'map']) {
      assert.ok(relativeError(arrays[key], present(run.arrays[key], key)) <= 1e-5, key);
    }
    const targets: NativeFlowTarget[] = [{ kind: 'forgery' }, { kind: 'class-token-forgery' }];
    const { y } = (await flow.begin({ coefficients: 'gradient', allRows: true, targets })).arrays;
    const p = present(run.arrays['p'], 'p').data;
    assert.deepEqual(y?.shape, [2, 2]);
    for (const image of [0, 1]) {
      assert.ok(Math.abs((y.data[image] ?? NaN) - (p[2 * image + 1] ?? NaN)) <= 1e-6, `p of image ${image}`);
    }
    assert.ok((await blocksOf(flow)).length > 0);
  });
});
