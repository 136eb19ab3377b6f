/**
 * Attention flow against its Python peers on the same weights, as JSON:
 *
 *   npm run build:tests && node build/ts/bench/daam.js FILE.pt SIZE [ROUNDS] [PYTHON]
 *
 * FILE.pt and SIZE (tiny, small or base) are those of `python -m oracles.bench_vit`; PYTHON has timm and daam-timm-vit
 * (python/oracles/bench_daam.py says how). Rounds of the engine and of the peers alternate, one thread each, and while
 * one works the other waits; all figures are median CPU milliseconds of one image.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../lib/native/config.js';
import { Engine } from '../lib/native/engine.js';
import { median } from '../lib/vit/benchmarkMeasures.js';
import { FlowRounds, flowRatios } from '../lib/vit/flowModes.js';
import { loadOptionsFor } from '../lib/vit/loadOptions.js';

const PEERS = ['forward', 'official', 'daamTimmVit'] as const;
type PeerTimes = Record<(typeof PEERS)[number], number>;

/** The program of the peers: one round for every line it is sent. */
class Peers {
  private readonly child;
  private readonly lines;
  readonly rounds: PeerTimes[] = [];

  constructor(python: string, weights: string, size: string) {
    const args = ['-m', 'oracles.bench_daam', '--weights', path.resolve(weights), '--size', size, '--serve'];
    this.child = spawn(python, args, {
      cwd: path.join(packageRoot(), 'python'),
      env: { ...process.env, OMP_NUM_THREADS: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  private async answer(): Promise<unknown> {
    const line = await this.lines.next();
    if (line.done === true) throw new Error('the peers ended; their message is above');
    return JSON.parse(line.value);
  }

  async ready(): Promise<void> {
    await this.answer();
  }

  async round(): Promise<void> {
    this.child.stdin.write('\n');
    this.rounds.push((await this.answer()) as PeerTimes);
  }

  async end(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.stdin.end();
    await ended;
  }

  medians(): PeerTimes {
    const times = PEERS.map((name) => [name, median(this.rounds.map((round) => round[name]))] as const);
    return Object.fromEntries(times) as PeerTimes;
  }
}

async function compare(file: string, size: string, rounds: number, python: string): Promise<unknown> {
  const peers = new Peers(python, file, size);
  await peers.ready();
  const engine = await Engine.create({ lanes: 1, threadsPerLane: 1, maxBatch: 1 });
  const { modelPath, nativeOptions } = await loadOptionsFor(file);
  const model = await engine.load(modelPath, nativeOptions);
  const own = new FlowRounds(model);
  await own.warmUp();
  for (let i = 0; i < rounds; i++) {
    await own.round();
    await peers.round();
  }
  await peers.end();
  await engine.dispose();
  const { medianCpuMs, targets } = own.result();
  const peerMs = peers.medians();
  return {
    schema: 'kfd.bench.daam/1',
    file: modelPath,
    execution: model.info.execution,
    rounds,
    targets,
    medianCpuMs: { engine: medianCpuMs, peers: peerMs },
    ratios: {
      ...flowRatios(medianCpuMs),
      /** Above 1 the engine's gradient flow is faster; the peers do the same work. */
      gradient_times_faster_than_daam_timm_vit: peerMs.daamTimmVit / medianCpuMs.gradient,
      gradient_times_faster_than_official: peerMs.official / medianCpuMs.gradient,
      forward_times_faster_than_eager: peerMs.forward / medianCpuMs.forward,
      official_vs_eager_forward: peerMs.official / peerMs.forward,
      daam_timm_vit_vs_eager_forward: peerMs.daamTimmVit / peerMs.forward,
    },
  };
}

const [, , file, size, rounds = '9', python = 'python3'] = process.argv;
if (file === undefined || size === undefined) {
  process.stderr.write('usage: node build/ts/bench/daam.js FILE.pt SIZE [ROUNDS] [PYTHON]\n');
  process.exitCode = 2;
} else {
  const report = await compare(file, size, Number(rounds), python);
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
}
