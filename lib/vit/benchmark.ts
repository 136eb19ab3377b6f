import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ModelInfo, NativeModelOptions } from '../native/types.js';
import { runTrial } from './benchmarkChild.js';
import { loadOptionsFor } from './loadOptions.js';

export interface BenchmarkOptions {
  /** A TorchScript file; a manifest beside it is used. */
  file: string;
  /** Lanes of the full-machine trial; default: all cores. */
  lanes?: number;
  /** Length of each throughput trial in seconds. Default 5. */
  seconds?: number;
  /** Images that may share a forward pass in the throughput trials. Default 4. */
  batch?: number;
  /** Rounds of the CPU-time trial. Default 9. */
  rounds?: number;
  /** Overrides of the manifest (heads ...). */
  model?: Partial<NativeModelOptions>;
  signal?: AbortSignal | undefined;
}

/** What a child process is asked to measure. */
export type Trial = { file: string; model: NativeModelOptions } & (
  | { measure: 'throughput'; lanes: number; seconds: number; batch: number }
  | { measure: 'cpu-time'; rounds: number }
);

export interface ThroughputResult {
  imagesPerSecond: number;
  images: number;
  seconds: number;
}

/** Milliseconds of CPU time for one image at one thread, median over rounds that alternate between the modes. */
export interface CpuTimeResult {
  engine: number;
  engineWithClassRow: number;
  /** The module's own forward, as `torch::jit` runs it. */
  torchscript: number;
  rounds: number;
  info: ModelInfo;
  torchVersion: string;
  cpuCapability: string;
}

export interface VitBenchmark {
  schema: 'kfd.bench.vit/1';
  file: string;
  machine: { cpu: string; cores: number; node: string; torch: string; cpuCapability: string };
  execution: ModelInfo['execution'];
  imagesPerSecond: { oneLane: number; allLanes: number; lanes: number; batch: number };
  medianCpuMs: { engine: number; engineWithClassRow: number; torchscript: number };
  ratios: {
    /** TorchScript's CPU time over the engine's: above 1 the engine is faster. */
    engine_vs_torchscript_fp32: number;
    /** CPU time with the class-attention row over CPU time without: 1.02 is 2 % more. */
    class_row_vs_engine: number;
  };
}

const TRIAL_SCRIPT = fileURLToPath(new URL('./benchmarkTrial.js', import.meta.url));

/**
 * Measures a vision transformer (or a KFD detector): images a second on one lane and on all, CPU time of the engine
 * against the TorchScript module's own forward in the same process, and the cost of the class-attention row. Each
 * trial is a fresh child process; throughput includes preprocessing from RGB pixels of the network's input size.
 * @throws KfdError those of loading, ERR_KFD_ABORTED, ERR_KFD_INTERNAL (a trial failed)
 */
export async function benchmarkVit(options: BenchmarkOptions): Promise<VitBenchmark> {
  const { signal, seconds = 5, batch = 4, rounds = 9, lanes = availableParallelism() } = options;
  const { modelPath, nativeOptions } = await loadOptionsFor(options.file, options.model);
  const model = { file: modelPath, model: nativeOptions };
  const run = <Result>(trial: Trial): Promise<Result> => runTrial(TRIAL_SCRIPT, trial, signal);
  const throughput = (trialLanes: number): Promise<ThroughputResult> =>
    run({ ...model, measure: 'throughput', lanes: trialLanes, seconds, batch });

  const cpuTime = await run<CpuTimeResult>({ ...model, measure: 'cpu-time', rounds });
  const oneLane = await throughput(1);
  const allLanes = lanes === 1 ? oneLane : await throughput(lanes);
  const { engine, engineWithClassRow, torchscript } = cpuTime;
  return {
    schema: 'kfd.bench.vit/1',
    file: modelPath,
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      node: process.version,
      torch: cpuTime.torchVersion,
      cpuCapability: cpuTime.cpuCapability,
    },
    execution: cpuTime.info.execution,
    imagesPerSecond: {
      oneLane: oneLane.imagesPerSecond,
      allLanes: allLanes.imagesPerSecond,
      lanes,
      batch,
    },
    medianCpuMs: { engine, engineWithClassRow, torchscript },
    ratios: {
      engine_vs_torchscript_fp32: torchscript / engine,
      class_row_vs_engine: engineWithClassRow / engine,
    },
  };
}
