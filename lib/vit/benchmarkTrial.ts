/** One trial of benchmark.ts, run as a child process: node benchmarkTrial.js '<Trial as JSON>'. */
import { Engine } from '../native/engine.js';
import type { CpuTimeResult, ThroughputResult, Trial } from './benchmark.js';
import { answerTrial } from './benchmarkChild.js';
import { cpuMs, median, noiseImage, noiseTensor } from './benchmarkMeasures.js';

const WARM_UP_RUNS = 3;

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

async function cpuTime(trial: Trial & { measure: 'cpu-time' }): Promise<CpuTimeResult> {
  const engine = await Engine.create({ lanes: 1, threadsPerLane: 1, maxBatch: 1 });
  const own = await engine.load(trial.file, trial.model);
  const plain = await engine.load(trial.file, { ...trial.model, plainForward: true });
  const tensor = noiseTensor(own.info.inputWidth, own.info.inputHeight);
  const modes = {
    engine: () => cpuMs(() => own.run({ tensor })),
    torchscript: () => cpuMs(() => plain.run({ tensor })),
    engineWithClassRow: () => cpuMs(() => own.run({ tensor, hooks: { classAttention: true } })),
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

await answerTrial((given) => {
  const trial = given as Trial;
  return trial.measure === 'throughput' ? throughput(trial) : cpuTime(trial);
});
