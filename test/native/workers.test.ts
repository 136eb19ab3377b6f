import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Engine } from '../../lib/native/engine.js';
import { inputOf, modelOf, rampImage, readCase } from './reference.js';

const reference = readCase('vit_plain');
const modelPath = modelOf(reference);

function start(mode: 'once' | 'forever' | 'exit'): Worker {
  return new Worker(new URL('./workerChild.js', import.meta.url), { workerData: { modelPath, mode } });
}

async function firstLogits(worker: Worker): Promise<Float32Array> {
  const [logits] = (await once(worker, 'message')) as [Float32Array];
  return logits;
}

describe('worker_threads', () => {
  it('several workers and the main thread use the addon at once', async () => {
    await using engine = await Engine.create({ lanes: 1 });
    const input = { ...inputOf(reference), mean: [0, 0, 0], std: [1, 1, 1] } as const;
    const model = await engine.load(modelPath, { kind: 'vit', input });
    const workers = Array.from({ length: 4 }, () => start('once'));
    const ends = workers.map(async (worker) => (await once(worker, 'exit')) as [number]);
    const [own, ...others] = await Promise.all([
      model.run({ image: rampImage(48, 48) }),
      ...workers.map(firstLogits),
    ]);
    for (const logits of others) assert.deepEqual(logits, own.arrays['logits']?.data);
    for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
  });

  it('terminate() with work in flight, twenty times, each within seconds', async () => {
    for (let i = 0; i < 20; i++) {
      const worker = start('forever');
      await firstLogits(worker);
      await sleep(i);
      const begin = performance.now();
      assert.equal(await worker.terminate(), 1);
      assert.ok(performance.now() - begin < 5000);
    }
  });

  it('terminate() while the model is loading', async () => {
    for (let i = 0; i < 10; i++) {
      const worker = start('forever');
      await once(worker, 'online');
      await sleep(20 * i);
      await worker.terminate();
    }
  });

  it('process.exit() of a worker with work in flight keeps its code', async () => {
    const worker = start('exit');
    const [code] = (await once(worker, 'exit')) as [number];
    assert.equal(code, 3);
  });

  it('the main thread works on when workers have gone', async () => {
    await using engine = await Engine.create({ lanes: 1 });
    const model = await engine.load(modelPath, { kind: 'vit', input: inputOf(reference) });
    const worker = start('forever');
    await firstLogits(worker);
    const results = Array.from({ length: 20 }, () => model.run({ image: rampImage(48, 48) }));
    await worker.terminate();
    assert.equal((await Promise.all(results)).length, 20);
  });
});
