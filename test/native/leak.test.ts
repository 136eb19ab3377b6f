import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutorStats } from '../../lib/native/types.js';
import type { Growth } from './memoryGrowth.js';
import { modelOf, readCase } from './reference.js';

interface Report {
  module: Growth;
  vit: Growth;
  flow: Growth;
  threads: { before: number; most: number; after: number };
  stats: ExecutorStats;
}

describe('memory', () => {
  let report: Report;
  before(async function () {
    this.timeout(900_000);
    const child = fileURLToPath(new URL('./leakChild.js', import.meta.url));
    const script = ['--expose-gc', child, modelOf(readCase('module')), modelOf(readCase('vit_plain'))];
    // One malloc arena: otherwise glibc's own scatter over threads hides a small slope.
    const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
    const { stdout } = await promisify(execFile)(process.execPath, script, { env });
    report = JSON.parse(stdout) as Report;
  });

  it('2000 loads, runs, aborts and disposals leave less than 2 KiB each', () => {
    assert.equal(report.module.rounds, 2000);
    assert.ok(report.module.rss < 2048, `${report.module.rss.toFixed(0)} bytes of resident memory a round`);
  });

  it('transformers with block streams that are left early leave less than 4 KiB each', () =>
    assert.ok(report.vit.rss < 4096, `${report.vit.rss.toFixed(0)} bytes of resident memory a round`));

  it('attention flows, closed, dropped or aborted, leave less than 4 KiB each', () =>
    assert.ok(report.flow.rss < 4096, `${report.flow.rss.toFixed(0)} bytes of resident memory a round`));

  it('pinned pixels and results are released', () => {
    // A round pins 12 KiB of pixels two or three times.
    for (const { arrayBuffers, external } of [report.module, report.vit, report.flow]) {
      assert.ok(arrayBuffers < 256, `${arrayBuffers} bytes of array buffers a round`);
      assert.ok(external < 512, `${external} bytes of external memory a round`);
    }
    assert.equal(report.stats.queuedBytes, 0);
    assert.equal(report.stats.runningItems, 0);
  });

  it('lanes of engines that nobody holds any more end', () => {
    const { before, most, after } = report.threads;
    assert.ok(most > before, 'no engine started a thread');
    // The engine of the last round may still be held by the running frame.
    assert.ok(after <= before + 1, `${before}, ${most}, then ${after} threads`);
  });
});
