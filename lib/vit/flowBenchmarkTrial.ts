/** The trial of flowBenchmark.ts, run as a child process: node flowBenchmarkTrial.js '<FlowTrial as JSON>'. */
import { Engine } from '../native/engine.js';
import { answerTrial } from './benchmarkChild.js';
import type { FlowTrial } from './flowBenchmark.js';
import { FlowRounds, type FlowTimes } from './flowModes.js';

const WARM_UP_ROUNDS = 2;

async function measure(trial: FlowTrial): Promise<FlowTimes> {
  const engine = await Engine.create({ lanes: 1, threadsPerLane: 1, maxBatch: 1 });
  const rounds = new FlowRounds(await engine.load(trial.file, trial.model));
  for (let i = 0; i < WARM_UP_ROUNDS; i++) await rounds.warmUp();
  for (let i = 0; i < trial.rounds; i++) await rounds.round();
  await engine.dispose();
  return rounds.result();
}

await answerTrial((trial) => measure(trial as FlowTrial));
