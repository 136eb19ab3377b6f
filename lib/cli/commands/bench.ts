import path from 'node:path';
import type { Argv } from 'yargs';
import { KfdError } from '../../errors.js';
import type { DetectorBenchmark } from '../../kfd/benchmark.js';
import { packageRoot } from '../../native/config.js';
import type { VitBenchmark } from '../../vit/benchmark.js';
import type { FlowBenchmark } from '../../vit/flowBenchmark.js';
import { defineCommand } from '../command.js';
import { interruptSignal } from '../interrupt.js';
import { lanesOption } from '../machineOptions.js';
import { formatTable, writeJson, writeMessage, writeResult } from '../output.js';

function options(cli: Argv) {
  return cli
    .option('vit', { type: 'string', describe: 'Measure this TorchScript ViT instead of the detector' })
    .option('model', { type: 'string', describe: 'Measure this detector; default: the bundled one' })
    .option('image', {
      type: 'string',
      describe: 'The image that is detected over and over; default: the bundled one',
    })
    .option('seconds', { type: 'number', default: 5, describe: 'Length of each throughput trial' })
    .option('lanes', {
      type: 'string',
      describe: 'Lanes of the full-machine trial: a number or auto; default auto = cores',
    })
    .option('rounds', { type: 'number', default: 9, describe: 'Rounds of the CPU-time comparison' })
    .option('flow', {
      type: 'boolean',
      default: false,
      describe: 'Also measure what attention flows cost beside a forward pass',
    })
    .option('json', { type: 'boolean', default: false, describe: 'One JSON object, kfd.bench/1' })
    .example('$0 bench', 'the bundled detector: images a second, engine against TorchScript')
    .example('$0 bench --vit vit_b16.pt --seconds 10 --json', 'another network, for a program')
    .example('$0 bench --flow', 'with the cost of attention flows of each kind')
    .epilogue('Each trial runs in a process of its own. Leave the machine alone meanwhile.');
}

type BenchArguments = Awaited<ReturnType<typeof options>['argv']>;

/** Schema `kfd.bench/1`. */
interface BenchResult extends Omit<VitBenchmark, 'schema' | 'ratios'> {
  schema: 'kfd.bench/1';
  /** Those of `flow` too, with --flow. */
  ratios: VitBenchmark['ratios'] & Partial<FlowBenchmark['ratios']>;
  /** Attention flows; null without --flow. */
  flow: Omit<FlowBenchmark, 'ratios'> | null;
  /** End to end, from the encoded picture to the verdict; null with --vit. */
  detector: DetectorBenchmark | null;
}

function checkPositive(name: string, value: number): void {
  if (Number.isFinite(value) && value > 0) return;
  throw new KfdError('ERR_KFD_USAGE', `Expected --${name} to be a positive number but received ${value}.`);
}

function describeFlow({ medianCpuMs, targets }: NonNullable<BenchResult['flow']>): string[][] {
  const times = (mode: keyof typeof medianCpuMs) =>
    `${(medianCpuMs[mode] / medianCpuMs.forward).toFixed(2)} times a forward pass (${medianCpuMs[mode].toFixed(1)} ms)`;
  const extra = (medianCpuMs.twoTargets - medianCpuMs.gradient) / medianCpuMs.forward;
  return [
    ['forward pass, CPU time an image', `${medianCpuMs.forward.toFixed(1)} ms`],
    [`flow of ${targets.classToken}, direct`, times('direct')],
    [`flow of ${targets.classToken}, class-row`, times('classRow')],
    [`flow of ${targets.gradient}, gradient`, times('gradient')],
    [`flow of ${targets.gradient}, gradient, all rows`, times('allRows')],
    [`one more target (${targets.second})`, `${extra.toFixed(2)} forward passes more`],
  ];
}

function describe(result: BenchResult): string {
  const { detector, flow, imagesPerSecond, medianCpuMs, ratios, machine } = result;
  const rate = (value: number) => `${value.toFixed(2)} images/s`;
  const rows = [
    [
      'machine',
      `${machine.cpu}, ${machine.cores} cores, ${machine.cpuCapability}, torch ${machine.torch}, Node ${machine.node}`,
    ],
    ['network', `${result.file} (${result.execution})`],
    ['network, 1 lane', rate(imagesPerSecond.oneLane)],
    [`network, ${imagesPerSecond.lanes} lanes`, rate(imagesPerSecond.allLanes)],
    ['engine, CPU time an image', `${medianCpuMs.engine.toFixed(1)} ms`],
    ['plain TorchScript, CPU time an image', `${medianCpuMs.torchscript.toFixed(1)} ms`],
    ['engine against TorchScript', `${ratios.engine_vs_torchscript_fp32.toFixed(2)} times as fast`],
    ['class attention row costs', `${((ratios.class_row_vs_engine - 1) * 100).toFixed(1)} %`],
  ];
  if (flow !== null) rows.push(...describeFlow(flow));
  if (detector !== null) {
    const trial = ({ imagesPerSecond: speed, eventLoopP99Ms }: DetectorBenchmark['oneLane']) =>
      `${rate(speed)}, event loop p99 ${eventLoopP99Ms.toFixed(1)} ms`;
    rows.push(['detector end to end, 1 lane', trial(detector.oneLane)]);
    rows.push([`detector end to end, ${detector.lanes} lanes`, trial(detector.allLanes)]);
  }
  return formatTable(rows);
}

async function handler(args: BenchArguments): Promise<void> {
  checkPositive('seconds', args.seconds);
  checkPositive('rounds', args.rounds);
  const lanes = lanesOption(args.lanes);
  const { benchmarkVit } = await import('../../vit/benchmark.js');
  const { benchmarkFlow } = await import('../../vit/flowBenchmark.js');
  const { benchmarkDetector } = await import('../../kfd/benchmark.js');
  const { defaultModel, requireModelManifest } = await import('../../setup/models.js');

  const isDetector = args.vit === undefined;
  const manifest =
    args.model === undefined ? await defaultModel('detector') : await requireModelManifest(args.model);
  const file = args.vit ?? manifest.modelPath;
  const common = {
    seconds: args.seconds,
    signal: interruptSignal,
    ...(lanes === undefined ? {} : { lanes }),
  };
  writeMessage('measuring the network ...');
  const network = await benchmarkVit({ ...common, file, rounds: args.rounds });
  if (args.flow) writeMessage('measuring attention flows ...');
  const flowing = args.flow
    ? await benchmarkFlow({ file, rounds: args.rounds, signal: interruptSignal })
    : null;
  if (isDetector) writeMessage('measuring the detector end to end ...');
  const photograph = args.image ?? path.join(packageRoot(), 'test', 'fixtures', 'photos', 'astronaut.jpg');
  const detector = isDetector ? await benchmarkDetector({ ...common, model: args.model, photograph }) : null;
  const result: BenchResult = {
    ...network,
    schema: 'kfd.bench/1',
    ratios: { ...network.ratios, ...flowing?.ratios },
    flow:
      flowing === null
        ? null
        : { medianCpuMs: flowing.medianCpuMs, targets: flowing.targets, rounds: flowing.rounds },
    detector,
  };
  if (args.json) await writeJson(result, true);
  else await writeResult(describe(result));
}

export const benchCommand = defineCommand({
  command: 'bench',
  describe: 'Measure throughput, and the engine against plain TorchScript',
  builder: options,
  handler,
});
