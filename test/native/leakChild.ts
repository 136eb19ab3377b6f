/**
 * Child of leak.test.ts: node --expose-gc leakChild.js MODULE VIT. Prints one JSON line: what a round of each kind of
 * work leaves behind, in bytes, and the threads of engines that nobody holds any more.
 */
import { readdirSync } from 'node:fs';
import { Engine, type EngineModel } from '../../lib/native/engine.js';
import type { NativeModelOptions } from '../../lib/native/types.js';
import { rampImage } from './reference.js';

export interface Growth {
  rounds: number;
  rss: number;
  arrayBuffers: number;
  external: number;
}

const [, , modulePath = '', vitPath = ''] = process.argv;
const normalisation = { fit: 'stretch', mean: [0, 0, 0], std: [1, 1, 1] } as const;
const moduleOptions: NativeModelOptions = {
  kind: 'module',
  input: { width: 20, height: 16, ...normalisation },
};
const vitOptions: NativeModelOptions = { kind: 'vit', input: { width: 48, height: 48, ...normalisation } };
const engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });

async function runAndAbort(model: EngineModel): Promise<void> {
  await model.run({ image: rampImage(64, 64) });
  const cancelled = new AbortController();
  const job = model.run({ image: rampImage(64, 64) }, { signal: cancelled.signal });
  cancelled.abort();
  await job.catch(() => undefined);
}

async function moduleRound(): Promise<void> {
  const model = await engine.load(modulePath, moduleOptions);
  await runAndAbort(model);
  model.dispose();
}

async function vitRound(): Promise<void> {
  const model = await engine.load(vitPath, vitOptions);
  await runAndAbort(model);
  for await (const event of model.blocks({ image: rampImage(64, 64) })) if (event.block === 1) break;
  model.dispose();
}

const target = { kind: 'logits', weights: new Float32Array(10).fill(1) } as const;

/** Two passes, the second left early; now a closed flow, now one that the garbage collector must close. */
async function flowRound(model: EngineModel, round: number): Promise<void> {
  const flow = model.flow({ image: rampImage(64, 64) });
  await flow.forward();
  for (const coefficients of ['direct', 'gradient'] as const) {
    await flow.begin({ coefficients, targets: [target] });
    for await (const event of flow.events()) if (event.block === 1) break;
  }
  if (round % 2 === 0) flow.close();
  const aborted = new AbortController();
  const other = model.flow({ image: rampImage(64, 64) });
  const running = other.forward({ signal: aborted.signal });
  aborted.abort();
  await running.catch(() => undefined);
}

async function settledMemory(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 3; i++) {
    gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage();
}

/**
 * The median of the slopes between all pairs of eleven samples (Theil-Sen): a leak raises every one of them, while a
 * single step of the allocator, some MiB at any moment, does not.
 */
function slope(samples: readonly number[], roundsBetween: number): number {
  const slopes = samples
    .flatMap((later, j) =>
      samples.slice(0, j).map((earlier, i) => (later - earlier) / ((j - i) * roundsBetween)),
    )
    .sort((x, y) => x - y);
  return slopes[slopes.length >> 1] ?? NaN;
}

async function growth(
  round: (index: number) => Promise<void>,
  warmUp: number,
  rounds: number,
): Promise<Growth> {
  for (let i = 0; i < warmUp; i++) await round(i);
  const samples = [await settledMemory()];
  const roundsBetween = rounds / 10;
  for (let i = 1; i <= rounds; i++) {
    await round(i);
    if (i % roundsBetween === 0) samples.push(await settledMemory());
  }
  // What V8 counts is exact, so first against last is enough; resident memory moves in steps.
  const counted = (key: 'arrayBuffers' | 'external'): number =>
    ((samples.at(-1)?.[key] ?? NaN) - (samples[0]?.[key] ?? NaN)) / rounds;
  const rss = slope(
    samples.map((sample) => sample.rss),
    roundsBetween,
  );
  return { rounds, rss, arrayBuffers: counted('arrayBuffers'), external: counted('external') };
}

const module = await growth(moduleRound, 200, 2000);
const vit = await growth(vitRound, 100, 400);

const flowModel = await engine.load(vitPath, vitOptions);
const flow = await growth((index) => flowRound(flowModel, index), 100, 400);

// Dropped without dispose(): the garbage collector must release models and end the lanes of engines too.
const threadCount = (): number => readdirSync('/proc/self/task').length;
const threadsBefore = threadCount();
let mostThreads = 0;
for (let i = 0; i < 10; i++) {
  const dropped = await Engine.create({ lanes: 1 });
  await (await dropped.load(modulePath, moduleOptions)).run({ image: rampImage(64, 64) });
  mostThreads = Math.max(mostThreads, threadCount());
}
for (let i = 0; i < 20 && threadCount() > threadsBefore; i++) await settledMemory();
const threads = { before: threadsBefore, most: mostThreads, after: threadCount() };
process.stdout.write(`${JSON.stringify({ module, vit, flow, threads, stats: engine.stats() })}\n`);
await engine.dispose();
