import assert from 'node:assert/strict';
import { benchmarkVit } from '../../lib/vit/benchmark.js';
import { benchmarkFlow } from '../../lib/vit/flowBenchmark.js';
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

  for (const [name, kind] of [
    ['vit_plain', 'vit'],
    ['kfd', 'kfd'],
  ] as const) {
    it(`measures attention flows: ${kind}`, async () => {
      const found = readCase(name);
      const model = { kind, input: inputOf(found) };
      const { medianCpuMs, ratios, targets, rounds } = await benchmarkFlow({
        file: modelOf(found),
        model,
        rounds: 3,
      });
      assert.equal(rounds, 3);
      for (const [mode, ms] of Object.entries(medianCpuMs))
        assert.ok(ms > 0 && ms < 2000, `${mode}: ${ms} ms`);
      assert.equal(ratios.flow_direct_vs_forward, medianCpuMs.direct / medianCpuMs.forward);
      assert.equal(ratios.flow_class_row_vs_forward, medianCpuMs.classRow / medianCpuMs.forward);
      assert.equal(ratios.flow_gradient_vs_forward, medianCpuMs.gradient / medianCpuMs.forward);
      assert.equal(ratios.flow_all_rows_vs_forward, medianCpuMs.allRows / medianCpuMs.forward);
      const extra = (medianCpuMs.twoTargets - medianCpuMs.gradient) / medianCpuMs.forward;
      assert.equal(ratios.flow_extra_target_vs_forward, extra);
      assert.equal(targets.gradient, kind === 'kfd' ? 'forgery' : 'logit:0');
    });
  }

  it('refuses flows of a model without a class token', () =>
    assert.rejects(
      benchmarkFlow({
        file: modelOf(readCase('vit_no_class_token')),
        model: { input: inputOf(readCase('vit_no_class_token')) },
        rounds: 1,
      }),
      { code: 'ERR_KFD_INTERNAL', message: /flow trial .*class token/ },
    ));

  it('stops at an abort', async () => {
    const controller = new AbortController();
    const running = benchmarkVit({ ...base, seconds: 60, signal: controller.signal });
    setTimeout(() => controller.abort(), 1500);
    await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
  });
});
