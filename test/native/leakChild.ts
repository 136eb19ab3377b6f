/**
 * Child of leak.test.ts: node --expose-gc leakChild.js MODULE VIT. Prints one JSON line: what a round of each kind of
 * work leaves behind, in bytes, and the threads of engines that nobody holds any more.
 */
import { readdirSync } from 'node:fs';
import { Engine, type EngineModel } from '../../lib/native/engine.js';
import type { NativeModelOptions } from '../../lib/native/types.js';
import { growth, settledMemory } from './memoryGrowth.js';
import { rampImage } from './reference.js';

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
