/**
 * Child of leak.test.ts: node --expose-gc leakChild.js MODEL ROUNDS. Prints one JSON line: memory after a warm-up and
 * after the rounds, in bytes.
 */
import { readdirSync } from 'node:fs';
import { Engine } from '../../lib/native/engine.js';
import { rampImage } from './reference.js';

const [, , modelPath = '', rounds = '2000'] = process.argv;
const engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
const input = { width: 48, height: 48, fit: 'stretch', mean: [0, 0, 0], std: [1, 1, 1] } as const;

async function round(): Promise<void> {
  const model = await engine.load(modelPath, { kind: 'vit', input });
  await model.run({ image: rampImage(64, 64), hooks: { classToken: true } });
  for await (const event of model.blocks({ image: rampImage(64, 64) })) if (event.block === 1) break;
  const cancelled = new AbortController();
  const job = model.run({ image: rampImage(64, 64) }, { signal: cancelled.signal });
  cancelled.abort();
  await job.catch(() => undefined);
  model.dispose();
}

async function settledMemory(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 3; i++) {
    gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage();
}

for (let i = 0; i < 200; i++) await round();
const before = await settledMemory();
for (let i = 0; i < Number(rounds); i++) await round();
const after = await settledMemory();

// Dropped without dispose(): the garbage collector must release models and end the lanes of engines too.
const threadCount = (): number => readdirSync('/proc/self/task').length;
const threadsBefore = threadCount();
let mostThreads = 0;
for (let i = 0; i < 20; i++) {
  const dropped = await Engine.create({ lanes: 1 });
  await (await dropped.load(modelPath, { kind: 'vit', input })).run({ image: rampImage(64, 64) });
  mostThreads = Math.max(mostThreads, threadCount());
}
for (let i = 0; i < 20 && threadCount() > threadsBefore; i++) await settledMemory();
const threadsAfter = threadCount();
process.stdout.write(
  `${JSON.stringify({ before, after, threadsBefore, mostThreads, threadsAfter, stats: engine.stats() })}\n`,
);
await engine.dispose();
