import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zipSync, type Zippable } from 'fflate';
import type { EnvironmentConfig } from '../../lib/native/config.js';
import type { LibtorchLock, WheelPin } from '../../lib/setup/libtorch/lock.js';
import type { SetupReporter } from '../../lib/setup/reporter.js';

/**
 * Small stand-ins for what set-up deals with: a libtorch folder, a wheel of it, a Python with pip. They have the files
 * and headers that set-up looks at and nothing else.
 */

/** A folder of its own for one test, removed by the returned function. */
export function temporaryFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'kfd-setup-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

const ELF_MACHINE_X64 = 62;

/** The first bytes of a shared library, and enough of them to be worth cutting off. */
function library(machine = ELF_MACHINE_X64): Buffer {
  const bytes = Buffer.alloc(4096, 7);
  bytes.write('\u007fELF', 0, 'latin1');
  bytes.writeUInt16LE(machine, 18);
  return bytes;
}

export interface FakeTorch {
  version?: string;
  machine?: number;
  config?: string;
}

/** The files of a libtorch, by path below its root. */
export function torchFiles({ version = '2.13.0', machine, config = '# config' }: FakeTorch = {}): Map<
  string,
  Buffer
> {
  const header = `#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION \\\n  "${version}"\n`;
  return new Map([
    ['include/torch/script.h', Buffer.from('#pragma once\n')],
    ['include/torch/headeronly/version.h', Buffer.from(header)],
    ['lib/libtorch.so', library(machine)],
    ['lib/libtorch_cpu.so', library(machine)],
    ['lib/libc10.so', library(machine)],
    ['lib/libgomp.so.1', library(machine)],
    ['share/cmake/Torch/TorchConfig.cmake', Buffer.from(config)],
    ['version.py', Buffer.from(`__version__ = '${version}+cpu'\ncuda: Optional[str] = None\n`)],
  ]);
}

export function writeTorch(folder: string, torch: FakeTorch = {}): string {
  for (const [name, content] of torchFiles(torch)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return folder;
}

/** A wheel as pip would fetch it, with files beside the wanted ones. `prefix` is its folder: torch/ or libtorch/. */
export function wheelBytes(torch: FakeTorch = {}, prefix = 'torch/'): Buffer {
  const entries: Zippable = { [`${prefix}nn/modules/linear.py`]: Buffer.from('unwanted = True\n') };
  entries[`${prefix}lib/libtorch_python.so`] = library();
  for (const [name, content] of torchFiles(torch)) entries[prefix + name] = content;
  return Buffer.from(zipSync(entries));
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export const WHEEL_NAME = 'torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl';

export function pinOf(bytes: Buffer): WheelPin {
  return {
    requirement: 'torch==2.13.0+cpu',
    version: '2.13.0',
    variant: 'cpu',
    file: WHEEL_NAME,
    bytes: bytes.length,
    sha256: sha256(bytes),
    python: '3.11',
    implementation: 'cp',
    tag: 'manylinux_2_28_x86_64',
    index: 'https://index.invalid/simple',
  };
}

export function lockOf(bytes: Buffer): LibtorchLock {
  return { supported: ['2.13'], platforms: { 'linux-x64': { wheel: pinOf(bytes), archive: null } } };
}

export function environmentOf(folder: string, changes: Partial<EnvironmentConfig> = {}): EnvironmentConfig {
  return {
    libtorch: undefined,
    usePyTorch: false,
    pythonEnvironment: undefined,
    python: path.join(folder, 'no-python'),
    skipTorchVersionCheck: false,
    cacheDirectory: path.join(folder, 'cache'),
    nodeLlama: undefined,
    languageModel: undefined,
    addon: undefined,
    lanes: undefined,
    threadsPerLane: undefined,
    ci: false,
    noColor: true,
    forceColor: false,
    ...changes,
  };
}

export type PipBehaviour =
  | 'serve' // writes the wheel
  | 'fail' // has no such wheel
  | 'index-only' // only with --index-url
  | 'hash-mismatch' // says what pip says when a hash differs
  | 'half' // writes half of the wheel and then waits to be ended
  | 'stubborn' // the same, and is deaf to SIGTERM for some seconds
  | 'no-pip'
  | 'no-torch'; // as an interpreter without torch

/** A program that answers `-m pip download` (and `-c`, the question where torch is) as told. */
export class FakePython {
  readonly path: string;
  private readonly calls: string;

  constructor(folder: string, behaviour: PipBehaviour, wheel: Buffer | undefined, torchRoot?: string) {
    mkdirSync(folder, { recursive: true });
    this.path = path.join(folder, 'python3');
    this.calls = path.join(folder, 'calls.txt');
    const served = path.join(folder, 'served.whl');
    if (wheel !== undefined) writeFileSync(served, wheel);
    const script = `#!${process.execPath}
const fs = require('node:fs');
const args = process.argv.slice(2);
const value = (name) => args[args.indexOf(name) + 1];
fs.appendFileSync(${JSON.stringify(this.calls)}, args.slice(0, 3).join(' ') + (args.includes('--index-url') ? ' index' : '') + '\\n');
const behaviour = ${JSON.stringify(behaviour)};
const fail = (text) => { console.error(text); process.exit(1); };
if (args[0] === '-c') {
  console.log(JSON.stringify({ root: ${JSON.stringify(torchRoot ?? null)} }));
} else if (behaviour === 'no-pip') {
  fail('/usr/bin/python3: No module named pip');
} else if (behaviour === 'hash-mismatch') {
  fail('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\\n  Expected sha256 ' + 'a'.repeat(64) + '\\n       Got        ' + 'b'.repeat(64));
} else if (behaviour === 'fail' || (behaviour === 'index-only' && !args.includes('--index-url'))) {
  fail('ERROR: No matching distribution found for torch==2.13.0+cpu');
} else {
  const bytes = fs.readFileSync(${JSON.stringify(served)});
  const target = value('--dest') + '/${WHEEL_NAME}';
  if (behaviour === 'half' || behaviour === 'stubborn') {
    if (behaviour === 'stubborn') process.on('SIGTERM', () => {});
    fs.writeFileSync(target, bytes.subarray(0, bytes.length / 2));
    setTimeout(() => {}, behaviour === 'stubborn' ? 8000 : 60000);
  } else {
    fs.writeFileSync(target, bytes);
  }
}
`;
    writeFileSync(this.path, script);
    chmodSync(this.path, 0o755);
  }

  /** How often pip was asked to download. */
  downloads(): string[] {
    if (!existsSync(this.calls)) return [];
    const lines = readFileSync(this.calls, 'utf8').trim().split('\n');
    return lines.filter((line) => line.startsWith('-m pip download'));
  }
}

/** Collects what set-up reports. */
export function collectingReporter(): SetupReporter & { notes: string[] } {
  const notes: string[] = [];
  return {
    notes,
    note: (line) => void notes.push(line),
    progress: () => ({ update: () => undefined, stop: () => undefined }),
    toolOutput: () => undefined,
  };
}
