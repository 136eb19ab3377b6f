import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { KfdError } from '../../lib/errors.js';
import type { ImageSource } from '../../lib/image/rgbImage.js';
import type { Detection } from '../../lib/kfd/detection.js';
import { detectEach } from '../../lib/kfd/stream.js';
import { detectedFace, facelessDetection, failedDetection, MODEL } from './fakeDetection.js';

const context = (concurrency: number, signal?: AbortSignal) => ({ concurrency, signal, model: MODEL });
const names = (count: number) => Array.from({ length: count }, (_, index) => `${index}.jpg`);

async function collect(detections: AsyncIterable<Detection>): Promise<Detection[]> {
  const all: Detection[] = [];
  for await (const detection of detections) all.push(detection);
  return all;
}

describe('kfd: detection objects', () => {
  it('have the documented JSON and nothing else', () => {
    const detection = detectedFace('a.jpg', 0.97);
    assert.deepEqual(JSON.parse(JSON.stringify(detection)), {
      schema: 'kfd.detection/1',
      input: { path: 'a.jpg', width: 600, height: 400 },
      model: MODEL,
      status: 'ok',
      error: null,
      faces: [
        {
          box: [110, 60, 200, 200],
          confidence: 0.99,
          keypoints: [[150, 120]],
          score: 0.97,
          verdict: 'fake',
          threshold: 0.5,
          regions: [{ name: 'nose', score: 0.25, share: 0.1 }],
          namedRegions: ['nose'],
          extent: 0.1,
        },
      ],
      timing: { decodeMs: 1.23, faceMs: 2, forwardMs: 3, totalMs: 7 },
    });
    assert.equal(detection.maps.length, 1);
    assert.equal(detection.image?.width, 600);
  });

  it('take their status from what is there', () => {
    assert.equal(facelessDetection('a').status, 'no-face');
    assert.deepEqual(facelessDetection('a').faces, []);
    const { status, error, faces } = failedDetection('a.jpg');
    assert.equal(status, 'error');
    assert.deepEqual(error, {
      code: 'ERR_KFD_IMAGE_DECODE',
      message: 'a.jpg is damaged.',
      hint: 'Fetch it again.',
    });
    assert.deepEqual(faces, []);
  });
});

describe('kfd: streaming', () => {
  it('keeps the order of the inputs whatever finishes first', async () => {
    const detect = async (_: ImageSource, path: string | undefined) => {
      await sleep(path === '0.jpg' ? 40 : Math.random() * 10);
      return detectedFace(path ?? '');
    };
    const detections = await collect(detectEach(names(20), detect, context(4)));
    assert.deepEqual(
      detections.map(({ input }) => input.path),
      names(20),
    );
  });

  it('reads no further than its reader, and never runs more than `concurrency`', async () => {
    let read = 0;
    let running = 0;
    let most = 0;
    function* inputs() {
      for (const name of names(100)) {
        read += 1;
        yield name;
      }
    }
    const detect = async (_: ImageSource, path: string | undefined) => {
      running += 1;
      most = Math.max(most, running);
      await sleep(1);
      running -= 1;
      return detectedFace(path ?? '');
    };
    let taken = 0;
    for await (const { status } of detectEach(inputs(), detect, context(3))) {
      taken += status === 'ok' ? 1 : 0;
      await sleep(2);
      assert.ok(read <= taken + 3, `${read} inputs were read when ${taken} results had been taken`);
      if (taken === 30) break;
    }
    assert.equal(most, 3);
    await sleep(20);
    assert.ok(read <= 33, 'leaving the loop ends the reading');
  });

  it('turns a bad input into a detection and goes on', async () => {
    const detect = (_: ImageSource, path: string | undefined) =>
      path === '1.jpg'
        ? Promise.reject(new KfdError('ERR_KFD_IMAGE_DECODE', '1.jpg is damaged.'))
        : Promise.resolve(detectedFace(path ?? ''));
    const detections = await collect(detectEach(names(3), detect, context(2)));
    assert.deepEqual(
      detections.map(({ status }) => status),
      ['ok', 'error', 'ok'],
    );
    const bad = detections[1];
    assert.ok(bad);
    assert.equal(bad.error?.code, 'ERR_KFD_IMAGE_DECODE');
    assert.equal(bad.input.path, '1.jpg');
  });

  it('ends with the error when the detector is gone', async () => {
    const detect = () => Promise.reject(new KfdError('ERR_KFD_DISPOSED', 'gone'));
    await assert.rejects(collect(detectEach(names(3), detect, context(2))), { code: 'ERR_KFD_DISPOSED' });
  });

  it('waits while the queue of a shared engine is full', async () => {
    let attempts = 0;
    const detect = (_: ImageSource, path: string | undefined) => {
      attempts += 1;
      return attempts < 3
        ? Promise.reject(new KfdError('ERR_KFD_QUEUE_FULL', 'full'))
        : Promise.resolve(detectedFace(path ?? ''));
    };
    const detections = await collect(detectEach(names(1), detect, context(1)));
    assert.equal(detections[0]?.status, 'ok');
    assert.equal(attempts, 3);
  });

  it('stops at an abort', async () => {
    const controller = new AbortController();
    let started = 0;
    const detect = async (_: ImageSource, path: string | undefined) => {
      started += 1;
      await sleep(1);
      return detectedFace(path ?? '');
    };
    const run = (async () => {
      for await (const { input } of detectEach(names(1000), detect, context(2, controller.signal))) {
        if (input.path === '10.jpg') controller.abort();
      }
    })();
    await assert.rejects(run, { code: 'ERR_KFD_ABORTED' });
    assert.ok(started < 20);
  });

  it('names bytes by the path given with them', async () => {
    const seen: unknown[] = [];
    const detect = (source: ImageSource, path: string | undefined) => {
      seen.push(source);
      return Promise.resolve(detectedFace(path ?? 'none'));
    };
    const bytes = new Uint8Array([1]);
    const inputs = [{ source: bytes, path: '-' }, bytes, 'a.jpg'];
    const detections = await collect(detectEach(inputs, detect, context(1)));
    assert.deepEqual(
      detections.map(({ input }) => input.path),
      ['-', 'none', 'a.jpg'],
    );
    assert.deepEqual(seen, [bytes, bytes, 'a.jpg']);
  });

  it('refuses a senseless concurrency and a lone path', async () => {
    const detect = () => Promise.resolve(detectedFace('a'));
    await assert.rejects(collect(detectEach('a.jpg' as never, detect, context(1))), {
      code: 'ERR_KFD_INVALID_ARGUMENT',
    });
    await assert.rejects(collect(detectEach(['a'], detect, context(0))), {
      code: 'ERR_KFD_INVALID_ARGUMENT',
    });
  });
});
