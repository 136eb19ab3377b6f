/**
 * The long stream at full size, by hand: npm run build:tests && node build/ts/test/detect/soak.js [IMAGES, default 2000].
 * Prints memory and event loop delay; exit code 1 when either is not within the bounds of longStream.test.ts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { growthAfterWarmUp, runLongStream } from './longStream.js';

const count = Number(process.argv[2] ?? 2000);
const folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-soak-'));
const started = performance.now();
const { result, residentMiB, eventLoopP99Ms } = await runLongStream(count, folder);
await rm(folder, { recursive: true });
const growth = growthAfterWarmUp(residentMiB);
const rate = count / ((performance.now() - started) / 1000);
process.stdout.write(
  `${count} images, exit code ${result.code ?? 'none'}, ${rate.toFixed(2)} images/s\n` +
    `resident MiB: ${residentMiB.map(Math.round).join(' ')}; growth after warm-up ${growth.toFixed(1)}\n` +
    `event loop p99 ${eventLoopP99Ms.toFixed(1)} ms\n`,
);
if (result.code !== 0 || !(growth < 40) || !(eventLoopP99Ms < 20)) process.exitCode = 1;
