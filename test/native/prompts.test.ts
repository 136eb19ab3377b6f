import assert from 'node:assert/strict';
import { Engine, type EngineModel } from '../../lib/native/engine.js';
import type { NativeModelOptions } from '../../lib/native/types.js';
import { arrayOf, inputOf, modelOf, present, rampImage, readCase, relativeError } from './reference.js';

const TOLERANCE = 1e-5;

describe('an explainer’s prompts beside a detector', () => {
  const reference = readCase('prompts');
  const tensor = arrayOf(reference, 'image');
  const options: NativeModelOptions = {
    kind: 'kfd',
    input: inputOf(reference),
    promptsPath: modelOf(reference, 'prompts'),
  };
  let engine: Engine;
  before(async () => (engine = await Engine.create({ lanes: 1, threadsPerLane: 1 })));
  after(() => engine.dispose());

  for (const name of ['detector', 'detector_with_prompts']) {
    describe(name, () => {
      let model: EngineModel;
      before(async () => (model = await engine.load(modelOf(reference, name), options)));
      after(() => model.dispose());
      const check = (arrays: Awaited<ReturnType<EngineModel['run']>>['arrays'], keys: string[]): void => {
        for (const key of keys) {
          const error = relativeError(arrays[key], arrayOf(reference, `${name}.${key}`));
          assert.ok(error <= TOLERANCE, `${key}: relative error ${error}`);
        }
      };

      it('says how many prompts of which width there are', () => {
        assert.deepEqual([model.info.promptTokens, model.info.promptWidth], [9, 24]);
      });

      it('gives PyTorch’s P and V, with the verdict', async () => {
        const { arrays } = await model.run({ tensor, prompts: true });
        assert.deepEqual(Object.keys(arrays).sort(), ['P', 'V', 'map', 'p']);
        assert.deepEqual(arrays['P']?.shape, [3, 9, 24]);
        assert.deepEqual(arrays['V']?.shape, [3, 24]);
        check(arrays, ['P', 'V', 'p']);
      });

      it('gives them among the intermediates, once', async () => {
        const { arrays } = await model.run({ tensor, intermediates: true, prompts: true });
        check(arrays, ['P', 'V', 'p', 'g']);
        assert.deepEqual(
          (await model.run({ tensor, intermediates: true })).arrays['P'],
          present(arrays['P'], 'P'),
        );
      });

      it('gives them after a walk and after a flow’s forward pass', async () => {
        let last: Awaited<ReturnType<EngineModel['run']>>['arrays'] = {};
        for await (const event of model.blocks({ tensor, prompts: true })) last = event.arrays;
        check(last, ['P', 'V', 'p']);
        using flow = model.flow({ tensor, prompts: true }, { full: false });
        check((await flow.forward()).arrays, ['P', 'V', 'p']);
      });

      it('gives nothing of them unasked', async () => {
        const { arrays } = await model.run({ tensor });
        assert.deepEqual(Object.keys(arrays).sort(), ['map', 'p']);
        using flow = model.flow({ tensor }, { full: false });
        const names = Object.keys((await flow.forward()).arrays).sort();
        assert.deepEqual(names, ['feature', 'map', 'p']);
      });
    });
  }

  it('keeps apart, in one queue, who wants them and who does not', async () => {
    const model = await engine.load(modelOf(reference, 'detector'), options);
    const image = rampImage(224, 224);
    const wants = [false, true, true, false, true];
    const results = await Promise.all(wants.map((prompts) => model.run({ image, prompts })));
    assert.deepEqual(
      results.map(({ arrays }) => arrays['P'] !== undefined && arrays['V'] !== undefined),
      wants,
    );
    assert.deepEqual(results[2]?.arrays['P']?.shape, [1, 9, 24]);
    model.dispose();
  });

  it('changes nothing of a detector without a prompts file', async () => {
    const plain: NativeModelOptions = { ...options };
    delete plain.promptsPath;
    const model = await engine.load(modelOf(reference, 'detector'), plain);
    assert.deepEqual([model.info.promptTokens, model.info.promptWidth], [0, 0]);
    const { arrays } = await model.run({ tensor, intermediates: true });
    assert.ok(arrays['P'] === undefined && arrays['V'] === undefined);
    await assert.rejects(model.run({ tensor, prompts: true }), {
      code: 'ERR_KFD_INVALID_ARGUMENT',
      message: /without a prompts file/,
      hint: /prompts_?path/i,
    });
    assert.throws(() => model.flow({ tensor, prompts: true }), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    model.dispose();
  });

  const refused: [string, string, RegExp][] = [
    [
      'no_projection',
      'ERR_KFD_MODEL_UNSUPPORTED',
      /child `visual_projection`; children found: prompt_learner/,
    ],
    ['other_levels', 'ERR_KFD_MODEL_MISMATCH', /prompt_learner does not take this detector's 2 levels/],
    ['other_features', 'ERR_KFD_MODEL_MISMATCH', /visual_projection does not take .* feature of width 48/],
    ['other_width', 'ERR_KFD_MODEL_MISMATCH', /\(B, K, W\) .* \[2, 9, 24\] and \[2, 25\]/],
  ];
  for (const [name, code, message] of refused) {
    it(`refuses a file like ${name} when it is loaded`, () =>
      assert.rejects(
        engine.load(modelOf(reference, 'detector'), { ...options, promptsPath: modelOf(reference, name) }),
        { code, message },
      ));
  }

  it('refuses a file that is not there, no archive, or given for another kind of model', async () => {
    const detector = modelOf(reference, 'detector');
    const load = (change: object): Promise<EngineModel> => engine.load(detector, { ...options, ...change });
    await assert.rejects(load({ promptsPath: '/nowhere/prompts.pt' }), { code: 'ERR_KFD_MODEL_LOAD' });
    await assert.rejects(load({ promptsPath: detector.replace('detector.pt', 'index.txt') }), {
      code: 'ERR_KFD_MODEL_LOAD',
    });
    await assert.rejects(load({ promptsPath: '' }), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    await assert.rejects(load({ plainForward: true }), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    const vit = readCase('vit_plain');
    await assert.rejects(
      engine.load(modelOf(vit), { kind: 'vit', input: inputOf(vit), promptsPath: options.promptsPath ?? '' }),
      { code: 'ERR_KFD_INVALID_ARGUMENT', message: /belongs to a KFD model/ },
    );
  });
});
