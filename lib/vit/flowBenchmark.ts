import { fileURLToPath } from 'node:url';
import type { NativeModelOptions } from '../native/types.js';
import { runTrial } from './benchmarkChild.js';
import { flowRatios, type FlowRatios, type FlowTimes } from './flowModes.js';
import { loadOptionsFor } from './loadOptions.js';

export interface FlowBenchmarkOptions {
  /** A TorchScript file of a vision transformer or a detector; a manifest beside it is used. */
  file: string;
  /** Rounds over all modes. Default 9. */
  rounds?: number;
  /** Overrides of the manifest (heads ...). */
  model?: Partial<NativeModelOptions>;
  signal?: AbortSignal | undefined;
}

/** What the child process is asked to measure. */
export interface FlowTrial {
  measure: 'flow';
  file: string;
  model: NativeModelOptions;
  rounds: number;
}

export interface FlowBenchmark extends FlowTimes {
  ratios: FlowRatios;
}

const TRIAL_SCRIPT = fileURLToPath(new URL('./flowBenchmarkTrial.js', import.meta.url));

/**
 * What attention flows cost: CPU time of one image at one thread for a plain forward pass and for each kind of flow
 * pass with its forward, medians over alternating rounds in one child process.
 * @throws KfdError those of loading, ERR_KFD_ABORTED, ERR_KFD_INTERNAL (the trial failed)
 */
export async function benchmarkFlow(options: FlowBenchmarkOptions): Promise<FlowBenchmark> {
  const { rounds = 9, signal } = options;
  const { modelPath, nativeOptions } = await loadOptionsFor(options.file, options.model);
  const trial: FlowTrial = { measure: 'flow', file: modelPath, model: nativeOptions, rounds };
  const times = await runTrial<FlowTimes>(TRIAL_SCRIPT, trial, signal);
  return { ...times, ratios: flowRatios(times.medianCpuMs) };
}
