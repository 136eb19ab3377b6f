/**
 * `npm run demo` and `npm test` on a checkout where nothing is installed: packages, TypeScript, libtorch, addon and what
 * the explainer needs, each where it is missing or stale, and then the demo or the tests with the arguments that are left. Built-in modules only:
 * this file runs before there are others.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const inRoot = (...parts) => path.join(root, ...parts);
const TARGETS = { demo: ['dist', 'cli', 'demo.js'], test: ['test', 'run.mjs'] };
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143 };

/** Ends the process with a message; everything that goes wrong here has a way out that the user can take. */
function fail(message, hint, code = 1) {
  console.error(`error: ${message}`);
  if (hint) console.error(`hint: ${hint}`);
  process.exit(code);
}

let running; // the child process of the moment

/** Runs a program with our streams; resolves with its exit code. */
function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', ...options });
    running = child;
    child.once('error', (error) => fail(`cannot run ${command}: ${error.message}`));
    child.once('close', (code, signal) => resolve(code ?? SIGNAL_CODES[signal] ?? 1));
  });
}

/** One step: a line with its name, then how long it took; a failing step ends everything with its exit code. */
async function step(name, command, args, options) {
  const started = performance.now();
  console.error(`[${name}]`);
  const code = await run(command, args, options);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (code !== 0) fail(`${name} failed after ${seconds} s (exit code ${code})`, undefined, code);
  console.error(`[${name}] ${seconds} s`);
}

function checkNode() {
  const wanted = JSON.parse(readFileSync(inRoot('package.json'), 'utf8')).engines.node.replace('>=', '');
  const [major, minor] = wanted.split('.').map(Number);
  const [ourMajor, ourMinor] = process.versions.node.split('.').map(Number);
  if (ourMajor > major || (ourMajor === major && ourMinor >= minor)) return;
  fail(`Node ${wanted} or newer is needed, this is ${process.version}`, 'Install it from nodejs.org.');
}

/** npm writes node_modules/.package-lock.json last, so it is missing or old after a broken or outdated install. */
function packagesAreCurrent() {
  const installed = inRoot('node_modules', '.package-lock.json');
  return (
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(inRoot('package-lock.json')).mtimeMs
  );
}

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

const SYSTEM_TOOLS = [
  { packages: ['cmake'], present: () => succeeds('cmake', ['--version']) },
  { packages: ['g++'], present: () => succeeds('c++', ['--version']) || succeeds('clang++', ['--version']) },
  { packages: ['make'], present: () => succeeds('ninja', ['--version']) || succeeds('make', ['--version']) },
  { packages: ['git'], present: () => succeeds('git', ['--version']) },
  { packages: ['python3-pip'], present: () => succeeds('python3', ['-m', 'pip', '--version']) },
];
const TEST_TOOLS = [
  { packages: ['python3-venv'], present: () => succeeds('python3', ['-c', 'import ensurepip']) },
  // by the compiler's own search path, wherever the headers were put
  {
    packages: ['doctest-dev'],
    present: () =>
      succeeds('c++', ['-fsyntax-only', '-x', 'c++', '-include', 'doctest/doctest.h', '/dev/null']),
  },
];

// Without them single suites are skipped (with CI=true those suites fail); nothing else needs them.
const OPTIONAL_TEST_TOOLS = [
  {
    packages: ['chromium'],
    purpose: 'the tests of the pages in a browser',
    present: () =>
      ['chromium', 'chromium-browser', 'google-chrome'].some((name) => succeeds(name, ['--version'])),
  },
];

const mayInstall = () => process.getuid?.() === 0 && existsSync('/etc/debian_version');
const installCommand = (packages) => `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
const quietly = () => ({
  stdio: ['ignore', 'ignore', 'inherit'],
  env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
});

/** Installs missing system tools where that is ours to do (root on Debian), else says how. */
async function ensureSystemTools(tools) {
  const missing = tools.filter((tool) => !tool.present()).flatMap((tool) => tool.packages);
  if (missing.length === 0) return;
  const install = installCommand(missing);
  if (!mayInstall())
    fail(`these programs are missing: ${missing.join(', ')}`, `on Debian or Ubuntu: sudo ${install}`);
  console.error(`missing: ${missing.join(', ')}; installing them, since this is root on Debian`);
  await step('apt-get update', 'apt-get', ['update', '-q'], quietly());
  await step(install, 'apt-get', install.split(' ').slice(1), quietly());
}

/** Installs what single suites need where that is ours to do; what then is still missing is said, and no error. */
async function offerSystemTools(tools) {
  for (const { packages, purpose } of tools.filter((tool) => !tool.present())) {
    const install = installCommand(packages);
    const names = packages.join(', ');
    if (mayInstall()) {
      console.error(`missing: ${names}, for ${purpose}; installing it, since this is root on Debian`);
      await run('apt-get', ['update', '-q'], quietly());
      if ((await run('apt-get', install.split(' ').slice(1), quietly())) === 0) continue;
    }
    console.error(`${names} is not installed: ${purpose} will be skipped`);
    console.error(`hint: on Debian or Ubuntu: sudo ${install}`);
  }
}

/** The addon and what its explainer needs, where either is missing or stale. */
async function ensureSetup() {
  const fromDist = (name) => import(pathToFileURL(inRoot('dist', 'setup', name)).href);
  const { addonState } = await fromDist('addonState.js');
  const { explainerState } = await fromDist('explainer.js');
  const addon = await addonState();
  const explainer = await explainerState(addon.info);
  if (addon.state === 'current' && explainer.state === 'current') return;
  for (const [name, { state, why }] of Object.entries({ addon, explainer }))
    if (state !== 'current') console.error(`the ${name} is ${state}: ${why}`);
  await ensureSystemTools(SYSTEM_TOOLS);
  await step('kfd-native setup', process.execPath, [inRoot('dist', 'cli', 'main.js'), 'setup']);
}

const [task, ...rest] = process.argv.slice(2);
const target = TARGETS[task];
if (target === undefined)
  fail(`expected demo or test, received ${task ?? 'nothing'}`, 'npm run demo, or npm test', 2);
// The terminal sends Ctrl-C to the running step as well; we wait for it and pass its exit code on.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => running?.kill('SIGTERM'));

checkNode();
if (!packagesAreCurrent()) await step('npm ci', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
const tsc = inRoot('node_modules', 'typescript', 'bin', 'tsc');
await step('tsc', process.execPath, [tsc, '-p', inRoot('tsconfig.json')]);
await step('tsc (viewer)', process.execPath, [tsc, '-p', inRoot('lib', 'report', 'viewer')]);
chmodSync(inRoot('dist', 'cli', 'main.js'), 0o755);
await ensureSetup();
if (task === 'test') {
  await ensureSystemTools(TEST_TOOLS);
  await offerSystemTools(OPTIONAL_TEST_TOOLS);
}
process.exitCode = await run(process.execPath, [inRoot(...target), ...rest]);
