import type { Health } from '../../setup/doctor.js';
import type { ExplainerHealth } from '../../setup/explainerHealth.js';
import type { LlamaTestPassed } from '../../setup/llama/loadTest.js';
import type { Outcome } from '../../setup/outcome.js';
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

const NOT_SET_UP = 'not set up; `kfd-native setup` fetches it';

function nodeLlamaRows({ nodeLlama }: ExplainerHealth): Row[] {
  if (!nodeLlama.ok) return [[BAD, 'node-llama-cpp', nodeLlama.error.message]];
  const { chosen, skipped } = nodeLlama.value;
  const passed = skipped.map(({ source, why }): Row => [NOTE, `  not ${source}`, why]);
  if (chosen === null) return [[NOTE, 'node-llama-cpp', NOT_SET_UP], ...passed];
  const { version, source, why, folder, binaries } = chosen;
  return [
    [OK, 'node-llama-cpp', `${version} from ${source}: ${why}`],
    [NOTE, '  folder', folder],
    ...binaries.map((found): Row => [NOTE, `  ${found.variant}`, `llama.cpp ${found.release}`]),
    ...passed,
  ];
}

/** A part of the explainer that may be missing: a note then, and no fault. */
function partRow<T>(what: string, part: Outcome<T | null>, missing: string, show: (value: T) => string): Row {
  if (!part.ok) return [BAD, what, part.error.message];
  return part.value === null ? [NOTE, what, missing] : [OK, what, show(part.value)];
}

function explainerRows({ explainer }: Health): Row[] {
  const { headers, addonHasLlama, languageModel, prompts, loadTest } = explainer;
  const rows = nodeLlamaRows(explainer);
  rows.push([
    NOTE,
    '  headers',
    headers === null ? NOT_SET_UP : `llama.cpp ${headers.release} in ${headers.folder}`,
  ]);
  if (addonHasLlama === false)
    rows.push([NOTE, '  addon', 'built without the explainer; the next `kfd-native setup` builds it with']);
  rows.push(
    partRow(
      'language model',
      languageModel,
      NOT_SET_UP,
      ({ name, sha256, source, path }) => `${name} ${sha256.slice(0, 16)}... (${source}: ${path})`,
    ),
    partRow('explainer', prompts, 'this package ships none', ({ name, maturity }) => `${name} (${maturity})`),
  );
  if (loadTest === null) return rows;
  const finding = ({ version, variant, devices, width, milliseconds }: LlamaTestPassed): string =>
    `llama.cpp ${version} (${variant}: ${devices.join(', ')}), language model of width ${width} loaded in ${milliseconds} ms`;
  return [...rows, partRow('  load test', loadTest, '', finding)];
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
    ...explainerRows(health),
    ...health.tools.map((tool): Row => {
      const found =
        tool.command === null ? `missing: apt-get install ${tool.debianPackage}` : (tool.version ?? '');
      return [tool.command === null ? NOTE : OK, tool.name, `${found} (${tool.purpose})`];
    }),
  ];
}

function hintsOf(health: Health): string[] {
  const { nodeLlama, languageModel, prompts, loadTest } = health.explainer;
  const outcomes = [health.libtorch, health.addon, health.loadTest, ...health.models];
  const parts = [nodeLlama, languageModel, prompts, ...(loadTest === null ? [] : [loadTest])];
  const hints = [...outcomes, ...parts].flatMap((part) => (part.ok ? [] : [part.error.hint ?? '']));
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
  if (health.usable && !health.explainer.usable)
    await writeResult('Its explainer answers with fixed sentences: the language model is not ready.');
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
