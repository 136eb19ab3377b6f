import assert from 'node:assert/strict';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Engine } from '../../lib/native/engine.js';
import { planThreads } from '../../lib/native/threads.js';

describe('thread plan', () => {
  const saved = { ...process.env };
  afterEach(() => {
    for (const name of ['KFD_LANES', 'KFD_THREADS_PER_LANE']) {
      if (saved[name] === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = saved[name];
    }
  });

  it('fills the machine with lanes of one thread by default', () =>
    assert.deepEqual(planThreads({}, 8), { lanes: 8, threadsPerLane: 1, warnings: [] }));
  it('divides the cores where lanes have more threads', () => {
    assert.deepEqual(planThreads({ threadsPerLane: 3 }, 8), { lanes: 2, threadsPerLane: 3, warnings: [] });
    assert.deepEqual(planThreads({ lanes: 1, threadsPerLane: 8 }, 8), {
      lanes: 1,
      threadsPerLane: 8,
      warnings: [],
    });
  });
  it('cuts to the machine and says so', () => {
    const plan = planThreads({ lanes: 9, threadsPerLane: 2 }, 8);
    assert.deepEqual([plan.lanes, plan.threadsPerLane], [4, 2]);
    assert.match(
      plan.warnings.join(),
      /lanes 9 is more than the 8 core\(s\) of this machine allow; 4 is used/,
    );
    assert.match(planThreads({ threadsPerLane: 99 }, 8).warnings.join(), /threadsPerLane 99 .* 8 is used/);
  });
  it('takes defaults from the environment, options first', () => {
    process.env['KFD_LANES'] = '3';
    process.env['KFD_THREADS_PER_LANE'] = '2';
    assert.deepEqual(planThreads({}, 8), { lanes: 3, threadsPerLane: 2, warnings: [] });
    assert.deepEqual(planThreads({ lanes: 1, threadsPerLane: 1 }, 8), {
      lanes: 1,
      threadsPerLane: 1,
      warnings: [],
    });
  });
  it('refuses nonsense and names where it came from', () => {
    process.env['KFD_LANES'] = 'many';
    const code = 'ERR_KFD_INVALID_ARGUMENT';
    assert.throws(() => planThreads({}, 8), { code, message: /KFD_LANES but received many of type string/ });
    assert.throws(() => planThreads({ lanes: 0 }, 8), { code, message: /for lanes but received 0/ });
    assert.throws(() => planThreads({ threadsPerLane: 1.5 }, 8), { code });
  });
  it('Engine.create() warns the process and runs with what was granted', async () => {
    const warned = once(process, 'warning');
    const engine = await Engine.create({ lanes: 1000 });
    const [warning] = (await warned) as [Error];
    assert.equal(warning.name, 'KfdThreadsWarning');
    assert.deepEqual(engine.threads, { lanes: availableParallelism(), threadsPerLane: 1 });
    await engine.dispose();
  });
});
