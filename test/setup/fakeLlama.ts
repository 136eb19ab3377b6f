import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { zipSync } from 'fflate';
import type { LanguageModelPin, NodeLlamaPin } from '../../lib/setup/explainerLock.js';
import { sha256 } from './fakeTorch.js';

/** Small stand-ins for node-llama-cpp, npm and the wheel of a language model. */

export const LLAMA_PIN: NodeLlamaPin = { version: '3.22.1', release: 'v0.5.0' };
const PLATFORM = `${process.platform}-${process.arch}`;

function write(file: string, content: string | Buffer): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
}

export const HEADER_NAMES = [
  'llama.h',
  'ggml.h',
  'ggml-alloc.h',
  'ggml-backend.h',
  'ggml-cpu.h',
  'ggml-opt.h',
  'gguf.h',
];

/** A git bundle with headers where llama.cpp has them. */
function writeBundle(file: string): void {
  const repository = `${file}.work`;
  for (const name of HEADER_NAMES) {
    const folder = name === 'llama.h' ? 'include' : path.join('ggml', 'include');
    write(path.join(repository, folder, name), `// ${name}\n`);
  }
  const git = (...args: string[]): void => {
    const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.invalid'];
    execFileSync('git', ['-C', repository, ...who, ...args], { stdio: 'ignore' });
  };
  git('init', '--quiet');
  git('add', '.');
  git('commit', '--quiet', '--message', 'headers');
  mkdirSync(path.dirname(file), { recursive: true });
  git('bundle', 'create', file, 'HEAD');
}

export interface FakeNodeLlama {
  version?: string;
  /** Of the libraries. */
  release?: string;
  /** Platform packages; default: the one for the processor. */
  variants?: readonly ('cpu' | 'cuda' | 'cuda-ext')[];
  bundle?: boolean;
}

/** A node_modules folder with node-llama-cpp in it. @returns the folder that holds node_modules */
export function writeNodeLlama(folder: string, fake: FakeNodeLlama = {}): string {
  const {
    version = LLAMA_PIN.version,
    release = LLAMA_PIN.release,
    variants = ['cpu'],
    bundle = true,
  } = fake;
  const modules = path.join(folder, 'node_modules');
  const main = path.join(modules, 'node-llama-cpp');
  write(path.join(main, 'package.json'), JSON.stringify({ name: 'node-llama-cpp', version }));
  write(path.join(main, 'dist', 'index.js'), 'export {};\n');
  write(path.join(main, 'llama', 'llama.cpp.info.json'), JSON.stringify({ tag: release }));
  if (bundle) writeBundle(path.join(main, 'llama', 'gitRelease.bundle'));
  for (const variant of variants) {
    const name = variant === 'cpu' ? PLATFORM : `${PLATFORM}-${variant}`;
    const platform = path.join(modules, '@node-llama-cpp', name);
    const bins = path.join(platform, 'bins', name);
    const metadata = { buildOptions: { llamaCpp: { release } } };
    write(path.join(platform, 'package.json'), JSON.stringify({ name: `@node-llama-cpp/${name}`, version }));
    write(path.join(bins, '_nlcBuildMetadata.json'), JSON.stringify(metadata));
    const library = {
      cpu: 'libllama.v0.5.0.so',
      cuda: 'libllama.cuda.v0.5.0.so',
      'cuda-ext': 'libggml-cuda.so',
    };
    write(path.join(bins, library[variant]), Buffer.alloc(2000, 5));
  }
  return folder;
}

export type NpmBehaviour =
  | 'serve' // puts node_modules there
  | 'fail' // no network
  | 'integrity' // another file under the same name
  | 'half'; // puts something there and then waits to be ended

/** A program `npm` in a folder for PATH, which installs what `served` holds. */
export class FakeNpm {
  readonly folder: string;
  private readonly calls: string;

  constructor(folder: string, behaviour: NpmBehaviour, served: string) {
    this.folder = folder;
    this.calls = path.join(folder, 'calls.txt');
    const script = `#!${process.execPath}
const fs = require('node:fs');
const args = process.argv.slice(2);
if (args[0] === '--version') { console.log('11.0.0'); process.exit(0); }
fs.appendFileSync(${JSON.stringify(this.calls)}, args.join(' ') + '\\n');
const behaviour = ${JSON.stringify(behaviour)};
const fail = (text) => { console.error(text); process.exit(1); };
if (!fs.existsSync('package-lock.json')) fail('npm error code EUSAGE');
const cache = args[args.indexOf('--cache') + 1];
if (args.includes('--cache') && !fs.existsSync(cache + '/_cacache')) fail('npm error code ENOTCACHED');
if (behaviour === 'fail') fail('npm error code ENOTFOUND');
else if (behaviour === 'integrity') fail('npm error code EINTEGRITY');
else if (behaviour === 'half') {
  fs.mkdirSync('node_modules/node-llama-cpp', { recursive: true });
  setTimeout(() => {}, 60000);
} else fs.cpSync(${JSON.stringify(path.join(served, 'node_modules'))}, 'node_modules', { recursive: true });
`;
    write(path.join(folder, 'npm'), script);
    chmodSync(path.join(folder, 'npm'), 0o755);
  }

  /** The arguments of each installation. */
  installations(): string[] {
    return existsSync(this.calls) ? readFileSync(this.calls, 'utf8').trim().split('\n') : [];
  }

  /** Runs `work` with this npm first on PATH. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = process.env['PATH'];
    process.env['PATH'] = `${this.folder}:${before ?? ''}`;
    try {
      return await work();
    } finally {
      process.env['PATH'] = before;
    }
  }
}

const MODEL_FILE = 'Tiny.gguf';
export const MODEL_BYTES = Buffer.from(`GGUF${'tiny '.repeat(500)}`);

/** A wheel with one GGUF file in it. */
export function modelWheel(content: Buffer = MODEL_BYTES, member = `tiny/${MODEL_FILE}`): Buffer {
  return Buffer.from(zipSync({ [member]: content, 'tiny/__init__.py': Buffer.from('') }));
}

export function modelPinOf(wheel: Buffer, content: Buffer = MODEL_BYTES): LanguageModelPin {
  return {
    name: 'Tiny',
    file: MODEL_FILE,
    bytes: content.length,
    sha256: sha256(content),
    wheel: {
      requirement: 'tiny==1.0',
      file: 'tiny-1.0-py3-none-any.whl',
      member: `tiny/${MODEL_FILE}`,
      bytes: wheel.length,
      sha256: sha256(wheel),
      python: '3.11',
      implementation: 'py',
      tag: 'any',
      index: null,
    },
  };
}
