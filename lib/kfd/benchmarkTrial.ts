/** One trial of benchmark.ts, run as a child process: node benchmarkTrial.js '<DetectorTrial as JSON>'. */
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { toKfdError } from '../errors.js';
import type { DetectorTrial, DetectorTrialResult } from './benchmark.js';
import { Detector } from './detector.js';

const WARM_UP_IMAGES = 4;

async function run({ model, photograph, lanes, seconds }: DetectorTrial): Promise<DetectorTrialResult> {
  const bytes = await readFile(photograph);
  const detector = await Detector.load({ model, lanes, threadsPerLane: 1 });
  for (let i = 0; i < WARM_UP_IMAGES; i += 1) await detector.detect(bytes);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = performance.now();
  function* untilTheEnd() {
    while (performance.now() - start < seconds * 1000) yield bytes;
  }
  let images = 0;
  for await (const detection of detector.detectAll(untilTheEnd())) {
    if (detection.error !== null) throw new Error(detection.error.message);
    images += 1;
  }
  const elapsed = (performance.now() - start) / 1000;
  delay.disable();
  await detector.dispose();
  return {
    images,
    seconds: elapsed,
    imagesPerSecond: images / elapsed,
    eventLoopP99Ms: delay.percentile(99) / 1e6,
  };
}

try {
  const result = await run(JSON.parse(process.argv[2] ?? '{}') as DetectorTrial);
  process.send?.({ result });
} catch (error) {
  process.send?.({ error: toKfdError(error).message });
  process.exitCode = 1;
}
