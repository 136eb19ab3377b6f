import assert from 'node:assert/strict';
import { copyFile, cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageRoot } from '../../lib/native/config.js';
import { addonPath, loadAddon, loadFailureHint } from '../../lib/native/loader.js';

describe('addon loader', () => {
  let folder: string;
  let chosen: string | undefined;
  before(async () => (folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-loader-'))));
  after(() => rm(folder, { recursive: true }));
  beforeEach(() => (chosen = process.env['KFD_ADDON']));
  afterEach(() => {
    if (chosen === undefined) delete process.env['KFD_ADDON'];
    else process.env['KFD_ADDON'] = chosen;
  });

  const failure = (code: string, message: RegExp, hint: RegExp) => (error: Error) => {
    assert.equal((error as Error & { code: string }).code, code);
    assert.match(error.message, message);
    assert.match((error as Error & { hint: string }).hint, hint);
    return true;
  };

  it('loads once, and the same object again', () => assert.equal(loadAddon(), loadAddon()));

  it('takes KFD_ADDON before the own build', () => {
    process.env['KFD_ADDON'] = '/somewhere/kfd.node';
    assert.equal(addonPath(), '/somewhere/kfd.node');
    assert.throws(() => loadAddon(), failure('ERR_KFD_ADDON_MISSING', /nothing at \/somewhere/, /KFD_ADDON/));
  });

  it('names the command when the addon is not built', async () => {
    // The same package without its build folder.
    const bare = path.join(folder, 'bare');
    const compiled = fileURLToPath(new URL('../../lib', import.meta.url));
    await cp(path.join(compiled, 'native'), path.join(bare, 'dist', 'native'), { recursive: true });
    await copyFile(path.join(compiled, 'errors.js'), path.join(bare, 'dist', 'errors.js'));
    await copyFile(path.join(packageRoot(), 'package.json'), path.join(bare, 'package.json'));
    await symlink(path.join(packageRoot(), 'node_modules'), path.join(bare, 'node_modules'));
    delete process.env['KFD_ADDON'];
    const loader = pathToFileURL(path.join(bare, 'dist', 'native', 'loader.js')).href;
    const { loadAddon: loadMissing } = (await import(loader)) as { loadAddon: () => unknown };
    const expected = failure(
      'ERR_KFD_ADDON_MISSING',
      /not built: nothing at .*bare\/build\/addon/,
      /`npx kfd-native setup`/,
    );
    assert.throws(() => loadMissing(), expected);
  });

  it('refuses a file that is no library, with a fitted hint', async () => {
    const file = path.join(folder, 'text.node');
    await writeFile(
      file,
      'this is not a library, but it is long enough to be looked at by the linker\n'.repeat(4),
    );
    process.env['KFD_ADDON'] = file;
    assert.throws(
      () => loadAddon(),
      failure('ERR_KFD_ADDON_LOAD', /does not load/, /damaged or was built for another platform/),
    );
  });

  it('refuses an addon of another version', async () => {
    const file = path.join(folder, 'old.cjs');
    await writeFile(file, "module.exports = { version: '0.0.1' };\n");
    process.env['KFD_ADDON'] = file;
    assert.throws(
      () => loadAddon(),
      failure('ERR_KFD_ADDON_LOAD', /Expected an addon of kfd-native .* from 0\.0\.1/, /setup --force/),
    );
  });

  it('loads a copy of the addon from another folder', async () => {
    delete process.env['KFD_ADDON'];
    const copy = path.join(folder, 'copy.node');
    await copyFile(addonPath(), copy);
    process.env['KFD_ADDON'] = copy;
    assert.equal(typeof loadAddon().Executor, 'function');
  });

  const hints: [string, RegExp][] = [
    [
      'libtorch_cpu.so: cannot open shared object file: No such file or directory',
      /^libtorch_cpu\.so .*setup --force/,
    ],
    ['libc10.so: cannot open shared object file: No such file', /^libc10\.so is not where/],
    ['libnuma.so.1: cannot open shared object file: No such file', /system library libnuma\.so\.1/],
    ["/lib/libc.so.6: version `GLIBC_2.38' not found (required by x)", /needs GLIBC_2\.38/],
    ["libstdc++.so.6: version `GLIBCXX_3.4.31' not found", /needs GLIBCXX_3\.4\.31/],
    ['undefined symbol: _ZN3c106detail14torchCheckFail', /libtorch found at run time is not the one/],
    ['/x/kfd_native.node: invalid ELF header', /another platform/],
    ['was compiled against a different Node.js version using NODE_MODULE_VERSION 93', /addon for this Node/],
    ['something nobody has thought of', /doctor/],
  ];
  for (const [message, hint] of hints) {
    it(`fits its hint to: ${message.slice(0, 50)}`, () =>
      assert.match(loadFailureHint(message, false), hint));
  }
  it('says that musl is not supported', () => assert.match(loadFailureHint('whatever', true), /musl/));
});
