import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Engine, type EngineModel } from '../../lib/native/engine.js';
import { inputOf, modelOf, rampImage, readCase, slowTensor } from './reference.js';

/** Large enough that the three blocks of the tiny model take several hundred milliseconds. */
const SLOW = slowTensor(1024);
const image = rampImage(48, 48);

describe('jobs', () => {
  const reference = readCase('vit_plain');
  let engine: Engine;
  let model: EngineModel;
  beforeEach(async () => {
    engine = await Engine.create({ lanes: 1, threadsPerLane: 1, maxQueueItems: 4, maxBatch: 1 });
    model = await engine.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
  });
  afterEach(() => engine.dispose());

  /** Occupies the only lane until the returned promise settles. */
  async function busy(): Promise<{ done: Promise<unknown> }> {
    const done = model.run({ tensor: SLOW });
    done.catch(() => undefined);
    while (engine.stats().runningItems === 0) await sleep(1);
    return { done };
  }

  it('an abort before the call rejects without queueing', async () => {
    const before = engine.stats();
    await assert.rejects(model.run({ image }, { signal: AbortSignal.abort('why') }), {
      code: 'ERR_KFD_ABORTED',
      cause: 'why',
    });
    assert.deepEqual(engine.stats(), before);
  });

  it('an abort drops waiting work at once', async () => {
    const { done } = await busy();
    const controller = new AbortController();
    const waiting = model.run({ image }, { signal: controller.signal });
    assert.equal(engine.stats().queuedItems, 1);
    controller.abort(new Error('changed my mind'));
    await assert.rejects(waiting, { code: 'ERR_KFD_ABORTED', cause: new Error('changed my mind') });
    assert.equal(engine.stats().queuedItems, 0);
    assert.equal(engine.stats().runningItems, 1, 'the running job goes on');
    await done;
  });

  it('an abort stops running work at the next block', async () => {
    const start = performance.now();
    await model.run({ tensor: SLOW });
    const whole = performance.now() - start;
    const controller = new AbortController();
    const running = model.run({ tensor: SLOW }, { signal: controller.signal });
    while (engine.stats().runningItems === 0) await sleep(1);
    const aborted = performance.now();
    controller.abort();
    await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
    const waited = performance.now() - aborted;
    assert.ok(waited < 0.7 * whole, `stopped after ${waited} ms, a whole run takes ${whole} ms`);
  });

  it('an abort after the end changes nothing', async () => {
    const controller = new AbortController();
    const { arrays } = await model.run({ image }, { signal: controller.signal });
    controller.abort();
    assert.deepEqual(arrays['logits']?.shape, [1, 10]);
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 2000; i++) await model.run({ image }, { signal });
    for await (const event of model.blocks({ image }, { signal })) if (event.block === 1) break;
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('a full queue refuses one job more', async () => {
    const { done } = await busy();
    const waiting = Array.from({ length: 4 }, () => model.run({ image }));
    await assert.rejects(model.run({ image }), { code: 'ERR_KFD_QUEUE_FULL' });
    assert.equal((await Promise.all(waiting)).length, 4);
    await done;
    assert.equal(engine.stats().refused, 1);
  });

  it('a queue full in bytes refuses one job more', async () => {
    const small = await Engine.create({ lanes: 1, maxQueueBytes: 3 * 48 * 48 });
    const own = await small.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
    await own.run({ image });
    await assert.rejects(own.run({ tensor: SLOW }), { code: 'ERR_KFD_QUEUE_FULL' });
    await small.dispose();
  });

  it('dispose() settles everything once, and what follows is refused', async () => {
    const { done } = await busy();
    const waiting = model.run({ image });
    const settled = Promise.allSettled([done, waiting]);
    await Promise.all([engine.dispose(), engine.dispose()]);
    for (const result of await settled) {
      assert.equal(result.status, 'rejected');
      assert.match((result.reason as { code: string }).code, /^ERR_KFD_(DISPOSED|ABORTED)$/);
    }
    await assert.rejects(model.run({ image }), { code: 'ERR_KFD_DISPOSED' });
    await assert.rejects(engine.load(modelOf(reference), { kind: 'vit' }), { code: 'ERR_KFD_DISPOSED' });
    await assert.rejects(model.blocks({ image }).next(), { code: 'ERR_KFD_DISPOSED' });
  });

  it('a disposed model finishes its running job and refuses the next', async () => {
    const { done } = await busy();
    model.dispose();
    model.dispose();
    await done;
    await assert.rejects(model.run({ image }), { code: 'ERR_KFD_DISPOSED' });
  });

  it('await using ends the lanes', async () => {
    let inner: Engine;
    {
      await using scoped = await Engine.create({ lanes: 1 });
      inner = scoped;
      assert.equal(inner.stats().completed, 0);
    }
    await assert.rejects(inner.load(modelOf(reference), { kind: 'vit' }), { code: 'ERR_KFD_DISPOSED' });
  });

  it('errors are KfdErrors whose stack names the caller', async () => {
    async function theCallerOfRun(): Promise<unknown> {
      return await model.run({ image: { ...image, width: 3 } });
    }
    await assert.rejects(theCallerOfRun(), (error: Error) => {
      assert.equal(error.name, 'KfdError');
      assert.match(error.stack ?? '', /^KfdError \[ERR_KFD_INVALID_ARGUMENT\]: Expected/);
      assert.match(error.stack ?? '', /theCallerOfRun/);
      return true;
    });
  });

  it('many jobs at once give each its own result', async () => {
    const roomy = await Engine.create({ maxBatch: 4 });
    const own = await roomy.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
    const images = Array.from({ length: 60 }, (_, i) => ({ ...image, data: image.data.map((v) => v + i) }));
    const alone = [];
    for (const one of images) alone.push((await own.run({ image: one })).arrays['logits']);
    const together = await Promise.all(images.map((one) => own.run({ image: one })));
    for (const [i, { arrays, timing }] of together.entries()) {
      assert.ok(timing.batch >= 1 && timing.batch <= 4);
      for (const [k, value] of (alone[i]?.data ?? []).entries()) {
        assert.ok(Math.abs((arrays['logits']?.data[k] ?? NaN) - value) < 1e-4, `image ${i}, logit ${k}`);
      }
    }
    assert.ok(
      together.some(({ timing }) => timing.batch > 1),
      'nothing was batched',
    );
    await roomy.dispose();
  });

  it('leaves the event loop and the file system free while a lane works', async () => {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    const { done } = await busy(); // the copy of the large input is over by now
    delay.enable();
    let reads = 0;
    const work = { finished: false };
    void done.finally(() => (work.finished = true));
    while (!work.finished) {
      await readFile(modelOf(reference));
      reads++;
      await sleep(5);
    }
    delay.disable();
    assert.ok(reads >= 5, `only ${reads} files were read meanwhile`);
    // Not the tail: one collection of garbage that earlier tests left, or a neighbour on the machine, is no blocked loop.
    const p90 = delay.percentile(90) / 1e6;
    assert.ok(p90 < 40, `the event loop's delay at the 90th percentile was ${p90} ms`);
  });
});

describe('block streams', () => {
  const reference = readCase('vit_plain');
  let engine: Engine;
  let model: EngineModel;
  before(async () => {
    engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
    model = await engine.load(modelOf(reference), { kind: 'vit', input: inputOf(reference) });
  });
  after(() => engine.dispose());

  it('leaving the loop stops the pass there', async () => {
    const whole = await timeOf(async () => {
      for await (const event of model.blocks({ tensor: SLOW })) assert.ok(event.block < 3);
    });
    const first = await timeOf(async () => {
      for await (const event of model.blocks({ tensor: SLOW })) {
        assert.equal(event.block, 0);
        break;
      }
      // A block still running would hold the only lane.
      await model.run({ image });
    });
    assert.ok(first < 0.75 * whole, `one block took ${first} ms, all three ${whole} ms`);
  });

  it('nothing runs while the reader thinks', async () => {
    const walk = model.blocks({ tensor: slowTensor(256) });
    await walk.next();
    const before = process.cpuUsage();
    await sleep(200);
    const { user, system } = process.cpuUsage(before);
    await walk.return();
    assert.ok((user + system) / 1000 < 100, `${(user + system) / 1000} ms of CPU time while parked`);
  });

  it('an abort ends the stream', async () => {
    const controller = new AbortController();
    const read = async (): Promise<void> => {
      for await (const event of model.blocks({ tensor: SLOW }, { signal: controller.signal })) {
        assert.equal(event.block, 0);
        controller.abort();
      }
    };
    await assert.rejects(read(), { code: 'ERR_KFD_ABORTED' });
    await model.run({ image });
  });

  it('an abort ends a block that is under way', async () => {
    const controller = new AbortController();
    const walk = model.blocks({ tensor: SLOW }, { signal: controller.signal });
    const first = walk.next();
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(first, { code: 'ERR_KFD_ABORTED' });
  });

  it('several streams and jobs share a lane', async () => {
    const read = async (): Promise<number> => {
      let blocks = 0;
      for await (const event of model.blocks({ image }, {})) blocks += event.last ? 10 : 1;
      return blocks;
    };
    const results = await Promise.all([read(), read(), model.run({ image }), read()]);
    assert.deepEqual([results[0], results[1], results[3]], [12, 12, 12]);
  });
});

async function timeOf(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
