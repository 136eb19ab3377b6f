import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';
import { temporaryFolder } from './fakeTorch.js';

/**
 * bootstrap.mjs in a checkout of its own, where npm, tsc, apt-get and the command line only write down that they were
 * called. What they really do is what `npm test` itself has just been through.
 */
describe('bootstrap (npm run demo, npm test)', () => {
  let folder: string;
  let remove: () => void;
  const at = (...parts: string[]): string => path.join(folder, ...parts);

  function writeProgram(file: string, body: string): void {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(
      file,
      `#!${process.execPath}\nconst fs = require('node:fs');\nconst log = (line) => fs.appendFileSync(${JSON.stringify(at('calls.txt'))}, line + '\\n');\n${body}`,
    );
    chmodSync(file, 0o755);
  }

  beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    mkdirSync(at('lib', 'setup'), { recursive: true });
    copyFileSync(
      path.join(packageRoot(), 'lib', 'setup', 'bootstrap.mjs'),
      at('lib', 'setup', 'bootstrap.mjs'),
    );
    writeFileSync(at('package.json'), JSON.stringify({ engines: { node: '>=20.19' } }));
    writeFileSync(at('package-lock.json'), '{}');
    const tsc = `#!${process.execPath}\nrequire('node:fs').appendFileSync(${JSON.stringify(at('calls.txt'))}, 'tsc ' + require('node:path').relative(process.cwd(), process.argv[3]) + '\\n');`;
    writeProgram(
      at('bin', 'npm'),
      `log('npm ' + process.argv.slice(2).join(' '));
fs.mkdirSync('node_modules/typescript/bin', { recursive: true });
fs.writeFileSync('node_modules/typescript/bin/tsc', ${JSON.stringify(tsc)});
fs.writeFileSync('node_modules/.package-lock.json', '{}');`,
    );
    writeProgram(at('bin', 'apt-get'), "log('apt-get ' + process.argv.slice(2).join(' '));");
    for (const tool of ['cmake', 'c++', 'make', 'git', 'python3']) writeProgram(at('bin', tool), '');
    symlinkSync(process.execPath, at('bin', 'node'));
    writeProgram(
      at('dist', 'cli', 'main.js'),
      "log('main ' + process.argv.slice(2).join(' ')); process.exit(Number(process.env.SETUP_EXIT ?? 0));",
    );
    writeProgram(
      at('dist', 'cli', 'demo.js'),
      "log('demo ' + process.argv.slice(2).join(' ')); process.exit(7);",
    );
    writeProgram(at('test', 'run.mjs'), '');
    writeFileSync(at('test', 'run.mjs'), "console.log('tests ' + process.argv.slice(2).join(' '));");
    addon('missing');
  });
  afterEach(() => remove());

  function addon(state: string, explainer = 'current'): void {
    mkdirSync(at('dist', 'setup'), { recursive: true });
    writeFileSync(at('dist', 'setup', 'package.json'), '{"type": "module"}');
    writeFileSync(
      at('dist', 'setup', 'addonState.js'),
      `export const addonState = async () => ({ state: '${state}', why: 'told so', info: 'built' });`,
    );
    writeFileSync(
      at('dist', 'setup', 'explainer.js'),
      `export const explainerState = async (info) => ({ state: info === 'built' ? '${explainer}' : 'not asked', why: 'told so' });`,
    );
  }

  function bootstrap(args: string[], environment: Record<string, string> = {}) {
    rmSync(at('calls.txt'), { force: true });
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [at('lib', 'setup', 'bootstrap.mjs'), ...args],
      {
        encoding: 'utf8',
        env: { PATH: at('bin'), ...environment },
      },
    );
    const calls = existsSync(at('calls.txt'))
      ? readFileSync(at('calls.txt'), 'utf8').split('\n').filter(Boolean)
      : [];
    return { code: status, stdout, stderr, calls };
  }

  const install = 'npm ci --ignore-scripts --no-audit --no-fund';
  const compile = ['tsc tsconfig.json', 'tsc lib/report/viewer'];

  it('does every step on a bare checkout and passes arguments and exit code through', () => {
    const { code, calls } = bootstrap(['demo', '--quick', 'a b']);
    assert.deepEqual(calls, [install, ...compile, 'main setup', 'demo --quick a b']);
    assert.equal(code, 7);
  });

  it('does only what is needed the next time', () => {
    bootstrap(['demo']);
    addon('current');
    assert.deepEqual(bootstrap(['demo']).calls, [...compile, 'demo ']);
    addon('stale');
    assert.deepEqual(bootstrap(['demo']).calls, [...compile, 'main setup', 'demo ']);
    addon('current', 'missing');
    const again = bootstrap(['demo']);
    assert.deepEqual(again.calls, [...compile, 'main setup', 'demo ']);
    assert.match(again.stderr, /the explainer is missing: told so/);
  });

  it('installs again when package-lock.json is newer than what is installed', () => {
    bootstrap(['demo']);
    const later = new Date(Date.now() + 60_000);
    utimesSync(at('package-lock.json'), later, later);
    assert.equal(bootstrap(['demo']).calls[0], install);
  });

  it('runs the tests for `test`', () => {
    const { code, stdout } = bootstrap(['test', 'mocha']);
    assert.equal(code, 0);
    assert.equal(stdout, 'tests mocha\n');
  });

  it('stops at the first step that fails, with its exit code', () => {
    const { code, stderr, calls } = bootstrap(['demo'], { SETUP_EXIT: '3' });
    assert.equal(code, 3);
    assert.match(stderr, /error: kfd-native setup failed after/);
    assert.ok(!calls.some((call) => call.startsWith('demo')));
  });

  it('installs missing system tools as root on Debian, and says how otherwise', () => {
    rmSync(at('bin', 'cmake'));
    rmSync(at('bin', 'python3'));
    const { stderr, calls } = bootstrap(['demo']);
    const command = 'install -y --no-install-recommends cmake python3-pip';
    if (process.getuid?.() === 0 && existsSync('/etc/debian_version')) {
      assert.ok(calls.includes('apt-get update -q') && calls.includes(`apt-get ${command}`));
      assert.match(stderr, /missing: cmake, python3-pip; installing them/);
    } else {
      assert.match(stderr, new RegExp(`hint: on Debian or Ubuntu: sudo apt-get ${command}`));
      assert.ok(!calls.some((call) => call.startsWith('apt-get')));
    }
  });

  it('installs a browser for the tests that want one, and runs them without where that fails', () => {
    const asked = bootstrap(['test']);
    const command = 'install -y --no-install-recommends chromium';
    const mayInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version');
    assert.equal(asked.calls.includes(`apt-get ${command}`), mayInstall);
    writeProgram(at('bin', 'apt-get'), 'process.exit(100);');
    const { code, stdout, stderr } = bootstrap(['test']);
    assert.equal(code, 0);
    assert.equal(stdout, 'tests \n');
    assert.match(stderr, /chromium is not installed: the tests of the pages in a browser will be skipped/);
    assert.match(stderr, new RegExp(`hint: on Debian or Ubuntu: sudo apt-get ${command}`));
    writeProgram(at('bin', 'google-chrome'), '');
    assert.doesNotMatch(bootstrap(['test']).stderr, /chromium/);
  });

  it('refuses an old Node and an unknown task', () => {
    writeFileSync(at('package.json'), JSON.stringify({ engines: { node: '>=99.1' } }));
    const old = bootstrap(['demo']);
    assert.equal(old.code, 1);
    assert.match(old.stderr, /Node 99\.1 or newer is needed/);
    assert.deepEqual(old.calls, []);
    assert.equal(bootstrap(['dance']).code, 2);
  });
});
