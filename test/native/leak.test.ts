import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutorStats } from '../../lib/native/types.js';
import { modelOf, readCase } from './reference.js';

interface Report {
  before: NodeJS.MemoryUsage;
  after: NodeJS.MemoryUsage;
  threadsBefore: number;
  mostThreads: number;
  threadsAfter: number;
  stats: ExecutorStats;
}

const ROUNDS = 2000;

describe('memory', () => {
  let report: Report;
  before(async function () {
    this.timeout(300_000);
    const child = fileURLToPath(new URL('./leakChild.js', import.meta.url));
    const script = ['--expose-gc', child, modelOf(readCase('vit_plain')), String(ROUNDS)];
    // One malloc arena: otherwise glibc's own scatter over threads hides a small slope.
    const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
    const { stdout } = await promisify(execFile)(process.execPath, script, { env });
    report = JSON.parse(stdout) as Report;
  });

  it(`${ROUNDS} loads, runs, streams, aborts and disposals leave less than 2 KiB each`, () => {
    const slope = (report.after.rss - report.before.rss) / ROUNDS;
    assert.ok(slope < 2048, `${slope.toFixed(0)} bytes of resident memory a round`);
  });

  it('pinned pixels and results are released', () => {
    const grown = report.after.arrayBuffers - report.before.arrayBuffers;
    assert.ok(grown < 100 * 1024, `${grown} bytes of array buffers more than before`);
    assert.ok(report.after.external - report.before.external < 1024 * 1024);
    assert.equal(report.stats.queuedBytes, 0);
    assert.equal(report.stats.runningItems, 0);
  });

  it('lanes of engines that nobody holds any more end', () => {
    const { threadsBefore, mostThreads, threadsAfter } = report;
    assert.ok(mostThreads > threadsBefore, 'no engine started a thread');
    // The engine of the last round may still be held by the running frame.
    assert.ok(
      threadsAfter <= threadsBefore + 1,
      `${threadsBefore}, ${mostThreads}, then ${threadsAfter} threads`,
    );
  });
});
