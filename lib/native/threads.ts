import { availableParallelism } from 'node:os';
import { KfdError } from '../errors.js';
import { environmentConfig } from './config.js';

export interface ThreadOptions {
  /** Inference threads that work side by side, each on its own images; 'auto' fills the machine. Default 'auto'. */
  lanes?: 'auto' | number;
  /** Threads that share one forward pass; more than 1 shortens the time of a lone image. Default 1. */
  threadsPerLane?: number;
}

export interface ThreadPlan {
  lanes: number;
  threadsPerLane: number;
  /** What was asked for and not granted, in words. */
  warnings: string[];
}

function positiveInteger(value: unknown, name: string): number {
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 1) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected a positive integer for ${name} but received ${String(value)} of type ${typeof value}`,
    );
  }
  return number;
}

/**
 * How many lanes of how many threads run. More threads than cores make inference slower, so settings are cut to the
 * machine, with a warning.
 * @param options explicit settings; KFD_LANES and KFD_THREADS_PER_LANE are the defaults
 * @param cores threads the process may run at once (respects CPU affinity)
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT
 */
export function planThreads(options: ThreadOptions = {}, cores: number = availableParallelism()): ThreadPlan {
  const environment = environmentConfig();
  const warnings: string[] = [];
  const cut = (asked: number, most: number, name: string): number => {
    if (asked > most) {
      warnings.push(
        `${name} ${asked} is more than the ${cores} core(s) of this machine allow; ${most} is used`,
      );
    }
    return Math.min(asked, most);
  };
  const askedThreads = positiveInteger(
    options.threadsPerLane ?? environment.threadsPerLane ?? 1,
    options.threadsPerLane === undefined && environment.threadsPerLane !== undefined
      ? 'KFD_THREADS_PER_LANE'
      : 'threadsPerLane',
  );
  const threadsPerLane = cut(askedThreads, cores, 'threadsPerLane');
  const most = Math.max(1, Math.floor(cores / threadsPerLane));
  const askedLanes = options.lanes ?? environment.lanes ?? 'auto';
  if (askedLanes === 'auto') return { lanes: most, threadsPerLane, warnings };
  const lanes = positiveInteger(askedLanes, options.lanes === undefined ? 'KFD_LANES' : 'lanes');
  return { lanes: cut(lanes, most, 'lanes'), threadsPerLane, warnings };
}
