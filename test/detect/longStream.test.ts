import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Detection } from '../../lib/kfd/detection.js';
import { growthAfterWarmUp, runLongStream } from './longStream.js';

/** The full-size version of this is test/detect/soak.ts. */
const IMAGES = 300;

describe('detect: a long stream', function () {
  this.timeout(900_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-stream-'));
  });
  after(() => rm(folder, { recursive: true }));

  it(`judges ${IMAGES} photographs in order with flat memory and a free event loop`, async () => {
    const { result, residentMiB, eventLoopP99Ms, paths } = await runLongStream(IMAGES, folder);
    assert.equal(result.code, 0, result.stderr);
    const detections = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Detection);
    assert.deepEqual(
      detections.map(({ input }) => input.path),
      paths,
    );
    // the same photograph gives the same score, whatever else shared its batch
    for (const first of [0, 1]) {
      const scores = detections
        .filter((_, index) => index % 2 === first)
        .map(({ faces }) => faces[0]?.score ?? NaN);
      assert.ok(Math.max(...scores) - Math.min(...scores) < 1e-5);
    }
    assert.ok(residentMiB.length >= 15, 'memory was sampled');
    const growth = growthAfterWarmUp(residentMiB);
    assert.ok(
      growth < 40,
      `memory grew by ${growth.toFixed(0)} MiB: ${residentMiB.map(Math.round).join(' ')}`,
    );
    assert.ok(eventLoopP99Ms < 20, `the event loop's p99 delay was ${eventLoopP99Ms.toFixed(1)} ms`);
  });
});
