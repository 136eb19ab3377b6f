/** One trial of benchmark.ts, run as a child process: node benchmarkTrial.js '<Trial as JSON>'. */
import { toKfdError } from '../errors.js';
import { Engine, type EngineModel } from '../native/engine.js';
import type { FloatArray, Hooks, NativeImage } from '../native/types.js';
import type { CpuTimeResult, ThroughputResult, Trial } from './benchmark.js';

const WARM_UP_RUNS = 3;

/** Uniform numbers from 0 to 1, the same in every trial (Numerical Recipes' linear congruential generator). */
function* uniformNumbers(): Generator<number, never> {
  let state = 1;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

function noiseImage(width: number, height: number): NativeImage {
  const numbers = uniformNumbers();
  const data = Uint8Array.from({ length: width * height * 3 }, () => numbers.next().value * 256);
  return { data, width, height };
}

function noiseTensor(width: number, height: number): FloatArray {
  const numbers = uniformNumbers();
  const data = Float32Array.from({ length: width * height * 3 }, () => numbers.next().value * 4 - 2);
  return { shape: [1, 3, height, width], data };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

async function throughput(trial: Trial & { measure: 'throughput' }): Promise<ThroughputResult> {
  const engine = await Engine.create({ lanes: trial.lanes, threadsPerLane: 1, maxBatch: trial.batch });
  const model = await engine.load(trial.file, trial.model);
  const image = noiseImage(model.info.inputWidth, model.info.inputHeight);
  for (let i = 0; i < WARM_UP_RUNS * trial.lanes; i++) await model.run({ image });
  let images = 0;
  const start = performance.now();
  const end = start + trial.seconds * 1000;
  // Twice what the lanes can hold keeps a full batch waiting for each.
  const callers = Array.from({ length: 2 * trial.lanes * trial.batch }, async () => {
    while (performance.now() < end) {
      await model.run({ image });
      images++;
    }
  });
  await Promise.all(callers);
  const seconds = (performance.now() - start) / 1000;
  await engine.dispose();
  return { imagesPerSecond: images / seconds, images, seconds };
}

/** CPU milliseconds of one run. The process does nothing else meanwhile, so its CPU time is the run's. */
async function cpuMs(model: EngineModel, tensor: FloatArray, hooks: Hooks): Promise<number> {
  const before = process.cpuUsage();
  await model.run({ tensor, hooks });
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function cpuTime(trial: Trial & { measure: 'cpu-time' }): Promise<CpuTimeResult> {
  const engine = await Engine.create({ lanes: 1, threadsPerLane: 1, maxBatch: 1 });
  const own = await engine.load(trial.file, trial.model);
  const plain = await engine.load(trial.file, { ...trial.model, plainForward: true });
  const tensor = noiseTensor(own.info.inputWidth, own.info.inputHeight);
  const modes = {
    engine: () => cpuMs(own, tensor, {}),
    torchscript: () => cpuMs(plain, tensor, {}),
    engineWithClassRow: () => cpuMs(own, tensor, { classAttention: true }),
  };
  for (let i = 0; i < WARM_UP_RUNS; i++) {
    for (const run of Object.values(modes)) await run();
  }
  const times = { engine: [] as number[], torchscript: [] as number[], engineWithClassRow: [] as number[] };
  for (let round = 0; round < trial.rounds; round++) {
    times.engine.push(await modes.engine());
    times.torchscript.push(await modes.torchscript());
    times.engineWithClassRow.push(await modes.engineWithClassRow());
  }
  const { torchVersion, cpuCapability } = Engine.runtimeInfo();
  const result: CpuTimeResult = {
    engine: median(times.engine),
    engineWithClassRow: median(times.engineWithClassRow),
    torchscript: median(times.torchscript),
    rounds: trial.rounds,
    info: own.info,
    torchVersion,
    cpuCapability,
  };
  await engine.dispose();
  return result;
}

const trial = JSON.parse(process.argv[2] ?? '{}') as Trial;
try {
  const result = trial.measure === 'throughput' ? await throughput(trial) : await cpuTime(trial);
  process.send?.({ result });
} catch (error) {
  process.send?.({ error: toKfdError(error).toJSON() });
  process.exitCode = 1;
} finally {
  process.disconnect();
}
