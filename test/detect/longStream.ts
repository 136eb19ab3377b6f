import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';
import { detect, photo, type CommandResult } from './command.js';

/** A batch of more pictures needs more memory for a moment, so single samples say little. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Resident memory of the last third of a stream over that of its middle third, in MiB. */
export function growthAfterWarmUp(residentMiB: readonly number[]): number {
  const third = Math.floor(residentMiB.length / 3);
  return median(residentMiB.slice(2 * third)) - median(residentMiB.slice(third, 2 * third));
}

export interface LongStream {
  result: CommandResult;
  /** Resident memory in MiB, one sample for each five hundredths of the inputs. */
  residentMiB: number[];
  eventLoopP99Ms: number;
  paths: string[];
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/**
 * Pipes a list of `count` photographs through `detect --files-from - --jsonl` and watches memory and event loop.
 *
 * @param scratch a folder for the probe's file
 */
export async function runLongStream(count: number, scratch: string): Promise<LongStream> {
  const delayFile = path.join(scratch, 'delay.txt');
  process.env['KFD_TEST_DELAY_FILE'] = delayFile;
  const names = ['astronaut.jpg', 'astronaut-forged.jpg'];
  const paths = Array.from({ length: count }, (_, index) => photo(names[index % names.length] ?? ''));
  const samples: Promise<number>[] = [];
  let seen = 0;
  const result = await detect(['--files-from', '-', '--jsonl', '-q'], {
    input: paths.join('\n'),
    nodeArguments: ['--import', path.join(packageRoot(), 'test', 'detect', 'eventLoopProbe.mjs')],
    onStart: (child) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        const before = Math.floor((20 * seen) / count);
        seen += chunk.toString().split('\n').length - 1;
        if (Math.floor((20 * seen) / count) > before)
          samples.push(residentMiB(child.pid ?? 0).catch(() => NaN));
      });
    },
  });
  const eventLoopP99Ms = Number(await readFile(delayFile, 'utf8').catch(() => 'NaN'));
  const residents = (await Promise.all(samples)).filter((value) => Number.isFinite(value));
  return { result, residentMiB: residents, eventLoopP99Ms, paths };
}
