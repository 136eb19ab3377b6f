import type { Argv } from 'yargs';
import { KfdError } from '../errors.js';
import type { Engine } from '../native/engine.js';

/** Where and how wide a command computes; --lanes is read by {@link lanesOption}. */
export function addMachineOptions<T>(cli: Argv<T>) {
  return cli
    .option('device', { type: 'string', default: 'auto', describe: 'auto, cpu, cuda:0 ...' })
    .option('lanes', {
      type: 'string',
      describe: 'Images computed side by side: a number or auto; default auto',
    })
    .option('threads-per-lane', { type: 'number', describe: 'Cores that share one image; default 1' });
}

/** The value of --lanes: undefined is the engine's own plan, as `auto` is. */
export function lanesOption(text: string | undefined): number | undefined {
  if (text === undefined || text === 'auto') return undefined;
  const lanes = Number(text);
  if (Number.isSafeInteger(lanes) && lanes > 0) return lanes;
  throw new KfdError(
    'ERR_KFD_USAGE',
    `Expected --lanes to be auto or a positive integer but received ${text}.`,
  );
}

/** An engine as the options of {@link addMachineOptions} ask for it. */
export async function createEngine(args: {
  lanes?: string | undefined;
  threadsPerLane?: number | undefined;
}): Promise<Engine> {
  const { Engine } = await import('../native/engine.js');
  return Engine.create({
    lanes: lanesOption(args.lanes) ?? 'auto',
    ...(args.threadsPerLane === undefined ? {} : { threadsPerLane: args.threadsPerLane }),
  });
}

/** @throws KfdError ERR_KFD_USAGE for anything but a whole number from `least` on; an absent option is fine */
export function checkInteger(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
  throw new KfdError(
    'ERR_KFD_USAGE',
    `Expected --${name} to be a whole number from ${least} on but received ${value}.`,
  );
}
