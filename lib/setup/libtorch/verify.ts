import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import { isFile } from '../files.js';
import type { LibtorchLock } from './lock.js';

/** What a folder holds, read from its files; nothing is loaded or executed. */
export interface LibtorchFacts {
  /** The folder with include/, lib/ and share/. */
  root: string;
  /** major.minor.patch */
  version: string;
  abi: 'cxx11' | 'pre-cxx11';
  /** CUDA version, "unknown" when there is CUDA but its version cannot be read; null for a CPU build. */
  cuda: string | null;
}

const REQUIRED_FILES = [
  'include/torch/script.h',
  'lib/libtorch.so',
  'lib/libtorch_cpu.so',
  'lib/libc10.so',
  'share/cmake/Torch/TorchConfig.cmake',
];

const VERSION_HEADERS = [
  'include/torch/headeronly/version.h',
  'include/torch/csrc/api/include/torch/version.h',
];

const ELF_MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

function unusable(root: string, problem: string): KfdError {
  return new KfdError('ERR_KFD_LIBTORCH_NOT_FOUND', `${root} is no usable libtorch: ${problem}`, {
    hint: 'Expected is the folder of an unpacked libtorch, or `torch` in a Python site-packages folder.',
  });
}

/** The root of a libtorch from what people put into LIBTORCH or Torch_DIR. */
async function findRoot(folder: string): Promise<string> {
  const absolute = path.resolve(folder);
  const candidates = [absolute, path.join(absolute, 'libtorch'), path.join(absolute, 'torch')];
  if (path.basename(absolute) === 'Torch') candidates.push(path.resolve(absolute, '..', '..', '..'));
  for (const candidate of candidates) {
    if (await isFile(path.join(candidate, 'share/cmake/Torch/TorchConfig.cmake'))) return candidate;
  }
  return absolute;
}

async function checkLibrary(root: string, library: string): Promise<void> {
  const handle = await open(path.join(root, library));
  try {
    const header = Buffer.alloc(20);
    await handle.read(header, 0, 20, 0);
    if (header.toString('latin1', 0, 4) !== '\u007fELF')
      throw unusable(root, `${library} is not a library (no ELF header)`);
    const machine = header.readUInt16LE(18);
    if (machine !== ELF_MACHINES[process.arch]) {
      throw unusable(
        root,
        `${library} is for another processor (ELF machine ${machine}, not ${process.arch})`,
      );
    }
  } finally {
    await handle.close();
  }
}

async function readVersion(root: string): Promise<string> {
  for (const header of VERSION_HEADERS) {
    const text = await readFile(path.join(root, header), 'utf8').catch(() => '');
    const found = /#define\s+TORCH_VERSION\s*\\?\s*"(\d+\.\d+\.\d+)/.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  throw unusable(root, 'its headers do not tell the version');
}

async function readCuda(root: string): Promise<string | null> {
  if (!(await isFile(path.join(root, 'lib/libtorch_cuda.so')))) return null;
  const text = await readFile(path.join(root, 'version.py'), 'utf8').catch(() => '');
  return /^cuda\b.*=\s*'([\d.]+)'/m.exec(text)?.[1] ?? 'unknown';
}

/**
 * Looks at a folder that may hold a libtorch.
 * @throws KfdError ERR_KFD_LIBTORCH_NOT_FOUND saying what is wrong with it
 */
export async function inspectLibtorch(folder: string): Promise<LibtorchFacts> {
  const root = await findRoot(folder);
  for (const file of REQUIRED_FILES) {
    if (!(await isFile(path.join(root, file)))) throw unusable(root, `${file} is missing`);
  }
  await checkLibrary(root, 'lib/libtorch_cpu.so');
  await checkLibrary(root, 'lib/libc10.so');
  const config = await readFile(path.join(root, 'share/cmake/Torch/TorchConfig.cmake'), 'utf8');
  return {
    root,
    version: await readVersion(root),
    abi: /_GLIBCXX_USE_CXX11_ABI=0/.test(config) ? 'pre-cxx11' : 'cxx11',
    cuda: await readCuda(root),
  };
}

/**
 * Refuses versions that the engine was not written for (torch's C++ interface changes between minor versions) and the
 * old C++ ABI, which does not link with ours.
 * @throws KfdError ERR_KFD_LIBTORCH_MISMATCH
 */
export function checkCompatible(facts: LibtorchFacts, lock: LibtorchLock, skipVersionCheck: boolean): void {
  const minor = facts.version.split('.').slice(0, 2).join('.');
  if (!skipVersionCheck && !lock.supported.includes(minor)) {
    throw new KfdError(
      'ERR_KFD_LIBTORCH_MISMATCH',
      `${facts.root} is torch ${facts.version}; supported are ${lock.supported.join(', ')}`,
      { hint: 'Use a supported version, or try at your own risk with KFD_SKIP_TORCH_VERSION_CHECK=1.' },
    );
  }
  if (facts.abi !== 'cxx11') {
    throw new KfdError(
      'ERR_KFD_LIBTORCH_MISMATCH',
      `${facts.root} was built with the C++ ABI from before C++11, which cannot be linked with the addon`,
      { hint: 'Use a build with the C++11 ABI: every Linux wheel since 2.7 has it.' },
    );
  }
}
