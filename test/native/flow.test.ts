import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Engine, type EngineModel } from '../../lib/native/engine.js';
import type { EngineFlow } from '../../lib/native/flow.js';
import type { NativeFlowPass, NativeFlowTarget, NativeRequest } from '../../lib/native/types.js';
import { blocksOf } from './flowReference.js';
import { inputOf, modelOf, present, rampImage, readCase, relativeError, slowTensor } from './reference.js';

const INVALID = { name: 'KfdError', code: 'ERR_KFD_INVALID_ARGUMENT' };
const DISPOSED = { name: 'KfdError', code: 'ERR_KFD_DISPOSED' };
const ABORTED = { name: 'KfdError', code: 'ERR_KFD_ABORTED' };

describe('EngineFlow', () => {
  const reference = readCase('vit_plain');
  const image = rampImage(48, 48);
  const SLOW = slowTensor(512);
  const weights = Float32Array.from({ length: 10 }, (_, i) => i - 4);
  const logits: NativeFlowTarget = { kind: 'logits', weights };
  const gradient: NativeFlowPass = { coefficients: 'gradient', targets: [logits] };
  let engine: Engine;
  let model: EngineModel;
  beforeEach(async () => {
    engine = await Engine.create({ lanes: 1, threadsPerLane: 1, maxQueueItems: 2, maxBatch: 1 });
    model = await engine.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
  });
  afterEach(() => engine.dispose());

  async function forwarded(request: NativeRequest = { image }): Promise<EngineFlow> {
    const flow = model.flow(request);
    await flow.forward();
    return flow;
  }

  it('repeats a pass to the bit, and gives the logits of run()', async () => {
    using flow = model.flow({ image });
    const { arrays } = await flow.forward();
    const expected = (await model.run({ image })).arrays['logits'];
    assert.ok(relativeError(arrays['logits'], present(expected, 'logits')) <= 1e-5);
    await flow.begin(gradient);
    const first = await blocksOf(flow);
    await flow.begin({ ...gradient, coefficients: 'direct' });
    const direct = await blocksOf(flow);
    assert.notDeepEqual(direct[0]?.arrays['U'], first[0]?.arrays['U']);
    await flow.begin(gradient);
    assert.deepEqual(await blocksOf(flow), first);
  });

  it('reads the image through fit, crop and returnInput', async () => {
    const crop = [1, 0, 4, 0, 1, 4] as const;
    using flow = model.flow({ image: rampImage(60, 60), crop, returnInput: true });
    const { arrays } = await flow.forward();
    assert.deepEqual(arrays['input']?.shape, [1, 3, 48, 48]);
    const run = await model.run({ image: rampImage(60, 60), crop, returnInput: true });
    assert.deepEqual(arrays['input'], run.arrays['input']);
  });

  it('walks from the last block to the first, direct from the first to the last', async () => {
    using flow = await forwarded();
    for (const [coefficients, order] of [
      ['gradient', [2, 1, 0]],
      ['class-row', [2, 1, 0]],
      ['direct', [0, 1, 2]],
    ] as const) {
      await flow.begin({ coefficients, targets: [logits] });
      const seen: number[] = [];
      for await (const { block, last } of flow.events()) {
        seen.push(block);
        assert.equal(last, seen.length === 3, coefficients);
      }
      assert.deepEqual(seen, order);
    }
  });

  it('leaving the loop ends the pass; another may follow', async () => {
    using flow = await forwarded();
    await flow.begin(gradient);
    const whole = await blocksOf(flow);
    await flow.begin(gradient);
    for await (const event of flow.events()) {
      assert.equal(event.block, 2);
      break;
    }
    await assert.rejects(flow.events().next(), { ...INVALID, message: /events\(\) to follow a begin\(\)/ });
    await flow.begin(gradient);
    assert.deepEqual(await blocksOf(flow), whole);
  });

  it('a flow without `full` gives class-row and direct passes and refuses the others', async () => {
    const flow = model.flow({ image }, { full: false });
    await flow.forward();
    await assert.rejects(flow.begin(gradient), { ...INVALID, message: /keeps all tokens/ });
    for (const coefficients of ['class-row', 'direct'] as const) {
      await flow.begin({ coefficients, targets: [logits] });
      assert.equal((await blocksOf(flow)).length, 3);
    }
    flow.close();
  });

  it('close() twice is fine, and what follows is refused', async () => {
    const flow = await forwarded();
    await flow.begin(gradient);
    flow.close();
    flow.close();
    flow[Symbol.dispose]();
    await assert.rejects(flow.forward(), DISPOSED);
    await assert.rejects(flow.begin(gradient), DISPOSED);
    await assert.rejects(flow.events().next(), DISPOSED);
    await assert.rejects(model.flow({ image }).begin(gradient), INVALID, 'begin() before forward()');
  });

  it('close() ends a forward pass that is under way', async () => {
    const flow = model.flow({ tensor: SLOW });
    const running = flow.forward();
    while (engine.stats().runningItems === 0) await sleep(1);
    flow.close();
    await assert.rejects(running, ABORTED);
    await model.run({ image });
  });

  it('an abort before, during and between calls rejects with its reason and closes the flow', async () => {
    const before = model.flow({ image });
    await assert.rejects(before.forward({ signal: AbortSignal.abort('why') }), { ...ABORTED, cause: 'why' });
    await assert.rejects(before.forward(), DISPOSED);

    const controller = new AbortController();
    const during = model.flow({ tensor: SLOW });
    const running = during.forward({ signal: controller.signal });
    setTimeout(() => controller.abort(new Error('changed my mind')), 20);
    await assert.rejects(running, { ...ABORTED, cause: new Error('changed my mind') });
    await assert.rejects(during.begin(gradient), DISPOSED);

    const reader = new AbortController();
    const between = await forwarded();
    await between.begin(gradient, { signal: reader.signal });
    const read = async (): Promise<void> => {
      for await (const event of between.events({ signal: reader.signal })) {
        assert.equal(event.block, 2);
        reader.abort();
      }
    };
    await assert.rejects(read(), ABORTED);
    await assert.rejects(between.forward(), DISPOSED);
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    using flow = model.flow({ image });
    await flow.forward({ signal });
    for (let i = 0; i < 20; i++) {
      await flow.begin(gradient, { signal });
      for await (const event of flow.events({ signal })) if (event.block === 1) break;
    }
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('one call at a time', async () => {
    const flow = model.flow({ tensor: SLOW });
    const running = flow.forward();
    await assert.rejects(flow.forward(), { ...INVALID, message: /one thing at a time/ });
    await assert.rejects(flow.begin(gradient), { ...INVALID, message: /one thing at a time/ });
    await running;
    await assert.rejects(flow.forward(), INVALID, 'a second forward()');
    flow.close();
  });

  it('a full queue refuses a call, and the same call works later', async () => {
    using flow = model.flow({ image });
    const busy = [model.run({ tensor: SLOW })];
    while (engine.stats().runningItems === 0) await sleep(1);
    busy.push(model.run({ image }), model.run({ image }));
    await assert.rejects(flow.forward(), { code: 'ERR_KFD_QUEUE_FULL' });
    await Promise.all(busy);
    await flow.forward();
    await flow.begin(gradient);
    assert.equal((await blocksOf(flow)).length, 3);
  });

  it('several flows and jobs share a lane', async () => {
    const roomy = await Engine.create({ lanes: 2, threadsPerLane: 1 });
    const own = await roomy.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
    const read = async (): Promise<unknown> => {
      using flow = own.flow({ image });
      await flow.forward();
      await flow.begin(gradient);
      return (await blocksOf(flow)).map(({ arrays }) => arrays['U']);
    };
    const alone = await read();
    const [first, , second] = await Promise.all([read(), own.run({ image }), read(), own.run({ image })]);
    assert.deepEqual(first, alone);
    assert.deepEqual(second, alone);
    await roomy.dispose();
  });

  it('disposal of the engine refuses what comes', async () => {
    const flow = await forwarded();
    const late = model.flow({ image });
    await engine.dispose();
    await assert.rejects(flow.begin(gradient), DISPOSED);
    await assert.rejects(late.forward(), DISPOSED);
    flow.close();
  });

  it('errors are KfdErrors whose stack names the caller', async () => {
    const flow = await forwarded();
    async function theCallerOfBegin(): Promise<unknown> {
      return await flow.begin({ ...gradient, targets: [] });
    }
    await assert.rejects(theCallerOfBegin(), (error: Error) => {
      assert.match(error.stack ?? '', /^KfdError \[ERR_KFD_INVALID_ARGUMENT\]: Expected/);
      assert.match(error.stack ?? '', /theCallerOfBegin/);
      return true;
    });
    flow.close();
  });

  const requests: [string, unknown, unknown, RegExp][] = [
    ['hooks', { image, hooks: { classToken: true } }, undefined, /hooks/],
    ['nothing', {}, undefined, /exactly one of image and tensor/],
    ['an unknown option', { image }, { ful: true }, /one of the keys full .* 'ful'/],
    ['a wrong option', { image }, { full: 1 }, /true or false for options\.full/],
  ];
  for (const [what, request, options, message] of requests) {
    it(`flow() refuses ${what}`, () =>
      assert.throws(() => model.flow(request as NativeRequest, options as { full: boolean }), {
        ...INVALID,
        message,
      }));
  }

  const passes: [string, unknown, RegExp][] = [
    ['nothing', undefined, /an object for pass/],
    ['no coefficients', { targets: [logits] }, /one of gradient, class-row, direct for pass\.coefficients/],
    ['signed-gradient', { ...gradient, coefficients: 'signed-gradient' }, /received 'signed-gradient'/],
    ['a misspelt key', { ...gradient, allrows: true }, /received 'allrows'/],
    ['allRows of the wrong type', { ...gradient, allRows: 1 }, /true or false for pass\.allRows/],
    ['no targets', { coefficients: 'gradient' }, /at least one target for pass\.targets .* undefined/],
    ['an empty list of targets', { ...gradient, targets: [] }, /at least one target/],
    [
      'a target of an unknown kind',
      { ...gradient, targets: [{ kind: 'logit' }] },
      /pass\.targets\[0\]\.kind/,
    ],
    [
      'logits without weights',
      { ...gradient, targets: [logits, { kind: 'logits' }] },
      /a Float32Array for pass\.targets\[1\]\.weights/,
    ],
    [
      'weights in doubles',
      { ...gradient, targets: [{ kind: 'logits', weights: new Float64Array(10) }] },
      /a Float32Array/,
    ],
    [
      'no weights at all',
      { ...gradient, targets: [{ kind: 'logits', weights: new Float32Array(0) }] },
      /finite numbers/,
    ],
    [
      'NaN among the weights',
      { ...gradient, targets: [{ kind: 'logits', weights: weights.map((w, i) => (i === 3 ? NaN : w)) }] },
      /finite numbers for pass\.targets\[0\]\.weights/,
    ],
    [
      'weights of a wrong length',
      { ...gradient, targets: [{ kind: 'logits', weights: new Float32Array(11) }] },
      /10/,
    ],
    [
      'features of a wrong length',
      { ...gradient, targets: [{ kind: 'feature', weights: new Float32Array(5) }] },
      /feature|width|values/,
    ],
    [
      'weights beside forgery',
      { ...gradient, targets: [{ kind: 'forgery', weights }] },
      /no weights beside the kind forgery/,
    ],
    ['forgery without a detector', { ...gradient, targets: [{ kind: 'forgery' }] }, /KFD|detector/],
    [
      'baselines of a direct pass',
      { coefficients: 'direct', baselines: true, targets: [logits] },
      /baselines|gradient/,
    ],
  ];
  for (const [what, pass, message] of passes) {
    it(`begin() refuses ${what}, and the flow stays usable`, async () => {
      using flow = await forwarded();
      await assert.rejects(flow.begin(pass as NativeFlowPass), { ...INVALID, message });
      await flow.begin(gradient);
      assert.equal((await blocksOf(flow)).length, 3);
    });
  }
});
