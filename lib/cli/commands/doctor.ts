import type { Health } from '../../setup/doctor.js';
import { defineCommand } from '../command.js';
import { EXIT } from '../exitCodes.js';
import { interruptSignal } from '../interrupt.js';
import { formatTable, paint, writeJson, writeResult } from '../output.js';

type Row = [mark: string, what: string, finding: string];

const OK = '+';
const BAD = 'x';
const NOTE = '-';

function libtorchRows({ libtorch }: Health): Row[] {
  if (!libtorch.ok) return [[BAD, 'libtorch', libtorch.error.message]];
  const { chosen, skipped } = libtorch.value;
  const passed = skipped.map(({ source, why }): Row => [NOTE, `  not ${source}`, why]);
  if (chosen === null) return [[BAD, 'libtorch', 'none found; `kfd-native setup` fetches one'], ...passed];
  return [
    [OK, 'libtorch', `${chosen.version} from ${chosen.source}: ${chosen.why}`],
    [NOTE, '  folder', chosen.root],
    [NOTE, '  ABI, CUDA', `${chosen.abi}, ${chosen.cuda === null ? 'no CUDA' : `CUDA ${chosen.cuda}`}`],
    ...passed,
  ];
}

function addonRows({ addon, addonOverride, libtorch }: Health): Row[] {
  const rows: Row[] = [];
  if (addonOverride !== null) rows.push([NOTE, 'addon', `KFD_ADDON names ${addonOverride}`]);
  if (!addon.ok) return [...rows, [BAD, 'addon', addon.error.message]];
  const { state, why, file, info } = addon.value;
  rows.push([state === 'current' ? OK : BAD, 'addon', `${state}: ${why}`], [NOTE, '  file', file]);
  if (info === undefined) return rows;
  rows.push([
    NOTE,
    '  built with',
    `torch ${info.libtorch.version} in ${info.libtorch.root}; ${info.compiler}`,
  ]);
  const chosen = libtorch.ok ? libtorch.value.chosen : null;
  if (chosen !== null && chosen.root !== info.libtorch.root) {
    rows.push([NOTE, '', 'the next `kfd-native setup` would build it again, with the libtorch above']);
  }
  return rows;
}

function loadTestRows({ loadTest }: Health): Row[] {
  if (!loadTest.ok) return [[BAD, 'load test', loadTest.error.message]];
  const { runtime, milliseconds } = loadTest.value;
  const cuda = runtime.cudaAvailable ? `${runtime.cudaDevices} CUDA devices` : 'no CUDA device';
  return [
    [
      OK,
      'load test',
      `torch ${runtime.torchVersion}, ${cuda}, face detector loaded and run in ${milliseconds} ms`,
    ],
    [
      NOTE,
      '  processor',
      `${runtime.cpuCapability}, prepacked linears: ${runtime.hasPrepackedLinear ? 'yes' : 'no'}`,
    ],
  ];
}

function rowsOf(health: Health): Row[] {
  const { node, platform, cpu, threads } = health;
  const glibc = platform.glibc === null ? 'no glibc' : `glibc ${platform.glibc}`;
  return [
    [OK, 'kfd-native', health.version],
    [node.ok ? OK : BAD, 'Node', `${node.version}${node.ok ? '' : ': 20.19 or newer is needed'}`],
    [platform.glibc === null ? BAD : OK, 'system', `${platform.os} ${platform.arch}, ${glibc}`],
    [
      NOTE,
      '  processor',
      `${cpu.model}, ${cpu.cores} cores, ${Math.round(cpu.memoryBytes / 2 ** 30)} GiB of memory`,
    ],
    [NOTE, '  auto threads', `${threads.lanes} lanes of ${threads.threadsPerLane}`],
    ...libtorchRows(health),
    ...addonRows(health),
    ...loadTestRows(health),
    ...health.models.map((model): Row => {
      if (!model.ok) return [BAD, 'model', model.error.message];
      const { kind, name, maturity, sha256 } = model.value;
      return [
        OK,
        `${kind} model`,
        `${name}${maturity === null ? '' : ` (${maturity})`} ${sha256.slice(0, 16)}...`,
      ];
    }),
    ...health.tools.map((tool): Row => {
      const found =
        tool.command === null ? `missing: apt-get install ${tool.debianPackage}` : (tool.version ?? '');
      return [tool.command === null ? NOTE : OK, tool.name, `${found} (${tool.purpose})`];
    }),
  ];
}

function hintsOf(health: Health): string[] {
  const outcomes = [health.libtorch, health.addon, health.loadTest, ...health.models];
  const hints = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.error.hint ?? '']));
  return [...new Set(hints.filter((hint) => hint !== ''))];
}

const MARK_STYLES = { [OK]: 'green', [BAD]: 'red', [NOTE]: 'dim' } as const;

async function writeHealth(health: Health): Promise<void> {
  const rows = rowsOf(health).map(([mark, what, finding]) => [mark, what, finding.replaceAll('\n', '; ')]);
  for (const line of formatTable(rows).split('\n')) {
    const mark = line.charAt(0) as keyof typeof MARK_STYLES;
    await writeResult(paint(MARK_STYLES[mark], mark) + line.slice(1));
  }
  for (const hint of hintsOf(health)) await writeResult(`${paint('cyan', 'hint:')} ${hint}`);
  await writeResult(
    health.usable ? 'kfd-native is ready.' : 'kfd-native is not ready: see the lines marked x.',
  );
}

export const doctorCommand = defineCommand({
  command: 'doctor',
  describe: 'Show what was found, what was chosen and why, and whether it works',
  builder: (cli) =>
    cli
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object, kfd.doctor/1' })
      .example('$0 doctor', 'exit code 0 when everything that a verdict needs works, else 1')
      .epilogue('docs/setup.md explains each line.'),
  handler: async ({ json }) => {
    const { examine } = await import('../../setup/doctor.js');
    const health = await examine(interruptSignal);
    if (json) await writeJson(health, true);
    else await writeHealth(health);
    if (!health.usable) process.exitCode = EXIT.unexpected;
  },
});
