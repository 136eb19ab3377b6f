import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findLibtorch, resolveLibtorch, setupLibtorch } from '../../lib/setup/libtorch/resolve.js';
import { inspectLibtorch } from '../../lib/setup/libtorch/verify.js';
import { environmentOf, FakePython, lockOf, temporaryFolder, wheelBytes, writeTorch } from './fakeTorch.js';

describe('libtorch resolver: what is there already', () => {
  const wheel = wheelBytes();
  const lock = lockOf(wheel);
  let folder: string;
  let remove: () => void;

  beforeEach(() => ({ folder, remove } = temporaryFolder()));
  afterEach(() => remove());

  /** A cache with the pinned libtorch in it. */
  async function fillCache(): Promise<void> {
    const python = new FakePython(path.join(folder, 'filler'), 'serve', wheel).path;
    await setupLibtorch({ environment: environmentOf(folder, { python }), lock });
  }

  /** A Python environment whose interpreter knows a torch at `torchRoot`. */
  function activeEnvironment(torchRoot: string | undefined): string {
    new FakePython(path.join(folder, 'venv', 'bin'), 'no-torch', undefined, torchRoot);
    const root = path.join(folder, 'venv');
    // the interpreter of a virtual environment is called python
    writeFileSync(path.join(root, 'bin', 'python'), `#!/bin/sh\nexec "${root}/bin/python3" "$@"\n`, {
      mode: 0o755,
    });
    return root;
  }

  it('takes the explicit folder before Python and cache, the flag before the variable', async () => {
    await fillCache();
    const mine = writeTorch(path.join(folder, 'mine'));
    const other = writeTorch(path.join(folder, 'other'));
    const environment = environmentOf(folder, {
      libtorch: { path: mine, variable: 'KFD_LIBTORCH' },
      pythonEnvironment: activeEnvironment(writeTorch(path.join(folder, 'site', 'torch'))),
    });
    const byVariable = await resolveLibtorch({ environment, lock });
    assert.equal(byVariable.source, 'explicit');
    assert.equal(byVariable.root, mine);
    assert.match(byVariable.why, /KFD_LIBTORCH/);
    const byFlag = await resolveLibtorch({ environment, lock, libtorch: other });
    assert.equal(byFlag.root, other);
    assert.match(byFlag.why, /--libtorch/);
  });

  it('takes the torch of the active Python environment before the cache, and says why not the explicit one', async () => {
    await fillCache();
    const torch = writeTorch(path.join(folder, 'site', 'torch'));
    const environment = environmentOf(folder, { pythonEnvironment: activeEnvironment(torch) });
    const found = await resolveLibtorch({ environment, lock });
    assert.equal(found.source, 'python');
    assert.equal(found.root, torch);
    assert.equal(found.version, '2.13.0');
    assert.deepEqual(
      found.skipped.map(({ source }) => source),
      ['explicit'],
    );
  });

  it('takes the cache when nothing is named and no Python is active', async () => {
    await fillCache();
    const found = await resolveLibtorch({ environment: environmentOf(folder), lock });
    assert.equal(found.source, 'cache');
    assert.deepEqual(
      found.skipped.map(({ source }) => source),
      ['explicit', 'python'],
    );
  });

  it('never falls through when the explicit folder is unusable', async () => {
    await fillCache();
    const environment = environmentOf(folder, {
      libtorch: { path: path.join(folder, 'nothing'), variable: 'LIBTORCH' },
    });
    const expected = {
      code: 'ERR_KFD_LIBTORCH_NOT_FOUND',
      message: /^LIBTORCH: .*nothing.*script\.h is missing/,
    };
    await assert.rejects(findLibtorch({ environment, lock }), expected);
    await assert.rejects(setupLibtorch({ environment, lock }), expected);
  });

  it('passes over an active environment without torch, with the reason', async () => {
    await fillCache();
    const environment = environmentOf(folder, { pythonEnvironment: activeEnvironment(undefined) });
    const found = await resolveLibtorch({ environment, lock });
    assert.equal(found.source, 'cache');
    assert.match(
      found.skipped.find(({ source }) => source === 'python')?.why ?? '',
      /has no torch installed/,
    );
  });

  it('passes over an active environment with another version, but not when KFD_USE_PYTORCH asks for it', async () => {
    await fillCache();
    const torch = writeTorch(path.join(folder, 'site', 'torch'), { version: '2.9.1' });
    const environment = environmentOf(folder, { pythonEnvironment: activeEnvironment(torch) });
    const found = await resolveLibtorch({ environment, lock });
    assert.equal(found.source, 'cache');
    assert.match(found.skipped.find(({ source }) => source === 'python')?.why ?? '', /is torch 2\.9\.1/);
    await assert.rejects(findLibtorch({ environment: { ...environment, usePyTorch: true }, lock }), {
      code: 'ERR_KFD_LIBTORCH_MISMATCH',
    });
  });

  it('refuses another minor version, unless the check is switched off', async () => {
    const libtorch = writeTorch(path.join(folder, 'old'), { version: '2.12.1' });
    const environment = environmentOf(folder);
    await assert.rejects(findLibtorch({ environment, lock, libtorch }), {
      code: 'ERR_KFD_LIBTORCH_MISMATCH',
      message: /is torch 2\.12\.1; supported are 2\.13/,
    });
    const bold = { ...environment, skipTorchVersionCheck: true };
    assert.equal((await findLibtorch({ environment: bold, lock, libtorch })).chosen?.version, '2.12.1');
  });

  it('refuses the old C++ ABI whatever the switch', async () => {
    const config = 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")';
    const libtorch = writeTorch(path.join(folder, 'abi'), { config });
    const environment = environmentOf(folder, { skipTorchVersionCheck: true });
    await assert.rejects(findLibtorch({ environment, lock, libtorch }), {
      code: 'ERR_KFD_LIBTORCH_MISMATCH',
      message: /C\+\+ ABI/,
    });
  });

  it('names every source and every way out when there is none', async () => {
    await assert.rejects(resolveLibtorch({ environment: environmentOf(folder), lock }), (error: unknown) => {
      const { code, message, hint } = error as { code: string; message: string; hint: string };
      assert.equal(code, 'ERR_KFD_LIBTORCH_NOT_FOUND');
      for (const source of ['explicit', 'python', 'cache']) assert.match(message, new RegExp(`${source}: `));
      for (const way of ['setup', '--from', '--libtorch', 'KFD_LIBTORCH', 'KFD_USE_PYTORCH=1']) {
        assert.ok(hint.includes(way), way);
      }
      return true;
    });
  });

  it('--from and --libtorch exclude each other', async () => {
    const options = { environment: environmentOf(folder), lock, libtorch: folder, from: folder };
    await assert.rejects(setupLibtorch(options), { code: 'ERR_KFD_USAGE' });
  });

  describe('inspecting a folder', () => {
    it('accepts what people put into LIBTORCH and Torch_DIR', async () => {
      const root = writeTorch(path.join(folder, 'libtorch'));
      for (const named of [root, folder, path.join(root, 'share', 'cmake', 'Torch')]) {
        assert.equal((await inspectLibtorch(named)).root, root, named);
      }
    });

    it('names what is missing', async () => {
      const root = writeTorch(path.join(folder, 'torch'));
      rmSync(path.join(root, 'lib', 'libc10.so'));
      await assert.rejects(inspectLibtorch(root), { message: /lib\/libc10\.so is missing/ });
    });

    it('refuses a library that is cut off or none', async () => {
      const root = writeTorch(path.join(folder, 'torch'));
      writeFileSync(path.join(root, 'lib', 'libtorch_cpu.so'), 'version https://git-lfs');
      await assert.rejects(inspectLibtorch(root), { message: /libtorch_cpu\.so is not a library/ });
    });

    it('refuses a library for another processor', async () => {
      const root = writeTorch(path.join(folder, 'torch'), { machine: 183 });
      await assert.rejects(inspectLibtorch(root), { message: /for another processor \(ELF machine 183/ });
    });

    it('reads the CUDA version', async () => {
      const root = writeTorch(path.join(folder, 'torch'));
      assert.equal((await inspectLibtorch(root)).cuda, null);
      mkdirSync(path.join(root, 'lib'), { recursive: true });
      writeFileSync(path.join(root, 'lib', 'libtorch_cuda.so'), '');
      writeFileSync(path.join(root, 'version.py'), "cuda: Optional[str] = '13.0'\n");
      assert.equal((await inspectLibtorch(root)).cuda, '13.0');
    });
  });
});
