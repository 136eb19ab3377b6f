import assert from 'node:assert/strict';
import { benchmarkVit } from '../../lib/vit/benchmark.js';
import { inputOf, modelOf, readCase } from '../native/reference.js';

describe('vit: benchmark', function () {
  const reference = readCase('vit_plain');
  const base = { file: modelOf(reference), model: { input: inputOf(reference) }, seconds: 0.3, rounds: 3 };

  it('measures throughput and ratios in processes of their own', async () => {
    const report = await benchmarkVit({ ...base, lanes: 2, batch: 2 });
    assert.equal(report.schema, 'kfd.bench.vit/1');
    assert.match(report.execution, /^own-blocks/);
    const { oneLane, allLanes, lanes, batch } = report.imagesPerSecond;
    assert.ok(oneLane > 10 && allLanes > 10, JSON.stringify(report));
    assert.deepEqual([lanes, batch], [2, 2]);
    const { engine, engineWithClassRow, torchscript } = report.medianCpuMs;
    for (const ms of [engine, engineWithClassRow, torchscript]) assert.ok(ms > 0 && ms < 1000, `${ms} ms`);
    assert.equal(report.ratios.engine_vs_torchscript_fp32, torchscript / engine);
    assert.equal(report.ratios.class_row_vs_engine, engineWithClassRow / engine);
    assert.match(report.machine.torch, /^2\./);
  });

  it('passes on what a trial died of', () =>
    assert.rejects(benchmarkVit({ ...base, file: modelOf(readCase('refused'), 'frozen') }), {
      code: 'ERR_KFD_INTERNAL',
      message: /cpu-time trial .*frozen/,
    }));

  it('stops at an abort', async () => {
    const controller = new AbortController();
    const running = benchmarkVit({ ...base, seconds: 60, signal: controller.signal });
    setTimeout(() => controller.abort(), 1500);
    await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
  });
});
