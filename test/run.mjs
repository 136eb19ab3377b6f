// Runs every test of the project, one runner after the other, and adds up their counts. Called by `npm test` after
// set-up (lib/setup/bootstrap.mjs). Plain JavaScript so that it runs before anything is compiled.
//
//   node test/run.mjs [stage ...]     stages: lint types python cpp mocha (default: all, in this order)
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const ci = process.env.CI === 'true';
const venv = path.join(root, 'build', 'venv');
const python = path.join(venv, 'bin', 'python');
// One thread a process: two cores, and timings that do not depend on what else runs.
const threads = { OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };

/** Runs a command, shows its output as it comes, and returns its exit code and output. */
function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const [stream, sink] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      stream.on('data', (chunk) => {
        output += chunk;
        if (!options.quiet) sink.write(chunk);
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? 1, signal, output }));
  });
}

async function must(command, args, options = {}) {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    if (options.quiet) process.stderr.write(result.output.slice(-4000));
    throw new Error(`${command} ${args.join(' ')} ended with code ${result.code}`);
  }
  return result.output;
}

/** Sums every match's first group. */
function count(text, pattern) {
  return [...text.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);
}

// ------------------------------------------------------------------------------------------------------------ stages

/** A stage of commands that either succeed or not: each command counts as one test. */
async function commands(list) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, command, args] of list) {
    const { code } = await run(command, args);
    console.log(`${code === 0 ? 'ok' : 'FAILED'}: ${name}`);
    counts[code === 0 ? 'passed' : 'failed'] += 1;
  }
  return counts;
}

const bin = (name) => path.join(root, 'node_modules', '.bin', name);

async function lint() {
  const sources = (await must('git', ['ls-files', 'binding/*.h', 'binding/*.cpp'], { quiet: true }))
    .trim()
    .split('\n');
  return commands([
    ['eslint', bin('eslint'), ['.']],
    ['prettier', bin('prettier'), ['--check', '--log-level', 'warn', '.']],
    ['clang-format', path.join(venv, 'bin', 'clang-format'), ['--dry-run', '--Werror', ...sources]],
  ]);
}

const types = () =>
  commands([
    ['tsc, tests and benches', bin('tsc'), ['-p', 'tsconfig.test.json']],
    ['tsc, viewer', bin('tsc'), ['-p', 'lib/report/viewer']],
  ]);

/** A virtual environment of the tests' own, made again when its requirements change. */
async function preparePython() {
  const requirements = path.join(root, 'python', 'requirements-test.txt');
  const stamp = path.join(venv, 'requirements.txt');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.log('# making the Python environment of the tests (PyTorch is the oracle)');
  await must(process.env.KFD_PYTHON ?? 'python3', ['-m', 'venv', venv], { quiet: true });
  await must(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { quiet: true });
  writeFileSync(stamp, wanted);
}

/** Reference outputs by PyTorch and Pillow that the C++ and TypeScript tests compare with. */
async function writeReferences() {
  const out = path.join(root, 'build', 'reference');
  mkdirSync(out, { recursive: true });
  await must(python, ['-m', 'oracles', '--out', out], {
    env: { ...threads, PYTHONPATH: path.join(root, 'python') },
  });
}

async function pytest() {
  const { code, output } = await run(python, ['-m', 'pytest', '-q', 'python/tests'], {
    env: { ...threads, ...(await llamaEnvironment()), PYTHONPATH: path.join(root, 'python') },
  });
  const last = output.trim().split('\n').at(-1) ?? '';
  const counts = {
    passed: count(last, /(\d+) passed/g),
    failed: count(last, /(\d+) (?:failed|error)/g),
    skipped: count(last, /(\d+) skipped/g),
  };
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

/**
 * What the tests of the language model work with, as `npm test` has set it up: the folder of libllama and the GGUF file.
 * undefined, with the reason on the screen, where it is not there.
 */
async function llamaEnvironment() {
  const fromDist = (...parts) => import(pathToFileURL(path.join(root, 'dist', 'setup', ...parts)).href);
  const { resolveNodeLlama } = await fromDist('llama', 'resolve.js');
  const { findLanguageModel } = await fromDist('languageModel.js');
  const binaries = (await resolveNodeLlama())?.binaries[0];
  const model = await findLanguageModel();
  if (binaries !== undefined && model !== undefined)
    return { KFD_LLAMA_FOLDER: binaries.folder, KFD_LANGUAGE_MODEL: model.path };
  console.error(
    'the explainer is not set up (`kfd-native setup`): the tests of its language model are skipped',
  );
  return undefined;
}

/** The addon's own build folder, with the test programs switched on: the engine is compiled once. */
async function cpp() {
  const build = path.join(root, 'build', 'addon');
  await must('cmake', ['-S', root, '-B', build, '-DKFD_BUILD_TESTS=ON'], { quiet: true });
  const llama = await llamaEnvironment();
  const hasLlama = /^KFD_LLAMA_INCLUDE:PATH=\//m.test(
    readFileSync(path.join(build, 'CMakeCache.txt'), 'utf8'),
  );
  const programs = ['kfd_core_test', 'kfd_engine_test'];
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (llama !== undefined && hasLlama) programs.push('kfd_llm_test');
  else {
    console.error('kfd_llm_test is skipped: the addon is built without the explainer, or it is not set up');
    counts.skipped += 1;
  }
  await must('cmake', ['--build', build, '--target', ...programs, '--parallel', '2'], { quiet: true });
  for (const name of programs) {
    const program = [path.join(build, name), path.join(build, 'Release', name)].find((file) =>
      existsSync(file),
    );
    if (program === undefined) throw new Error(`${name} was not built in ${build}`);
    const { code, output } = await run(program, [], {
      env: { ...threads, ...llama, KFD_REFERENCE: path.join(root, 'build', 'reference') },
    });
    const cases = /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(
      output,
    );
    counts.passed += Number(cases?.[1] ?? 0);
    counts.failed += Number(cases?.[2] ?? 0) || (code === 0 ? 0 : 1);
    counts.skipped += Number(cases?.[3] ?? 0);
  }
  return counts;
}

async function mocha() {
  const { code, output } = await run(bin('mocha'), [], {
    env: { ...threads, ...(await llamaEnvironment()), KFD_REFERENCE: path.join(root, 'build', 'reference') },
  });
  const counts = {
    passed: count(output, /^\s*(\d+) passing/gm),
    failed: count(output, /^\s*(\d+) failing/gm),
    skipped: count(output, /^\s*(\d+) pending/gm),
  };
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

// -------------------------------------------------------------------------------------------------------------- main

const STAGES = { lint, types, python: pytest, cpp, mocha };
const NEEDS_PYTHON = new Set(['lint', 'python', 'cpp', 'mocha']);
const NEEDS_REFERENCES = new Set(['python', 'cpp', 'mocha']);

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(STAGES);
const unknown = wanted.filter((name) => !(name in STAGES));
if (unknown.length > 0) {
  console.error(`unknown stage ${unknown.join(', ')}; stages are ${Object.keys(STAGES).join(', ')}`);
  process.exit(2);
}
if (!statSync(path.join(root, 'node_modules'), { throwIfNoEntry: false })) {
  console.error('node_modules is missing: run `npm test`, which installs it.');
  process.exit(2);
}

const total = { passed: 0, failed: 0, skipped: 0 };
const rows = [];
if (wanted.some((name) => NEEDS_PYTHON.has(name))) await preparePython();
if (wanted.some((name) => NEEDS_REFERENCES.has(name))) await writeReferences();
for (const name of wanted) {
  console.log(`\n# ${name}`);
  const start = Date.now();
  let counts;
  try {
    counts = await STAGES[name]();
  } catch (error) {
    console.error(String(error instanceof Error ? error.message : error));
    counts = { passed: 0, failed: 1, skipped: 0 };
  }
  if (counts.passed + counts.failed === 0) {
    console.error(`${name} ran no test at all`);
    counts.failed = 1;
  }
  if (ci && counts.skipped > 0) {
    console.error(`${name}: ${counts.skipped} skipped; with CI=true a skipped test is a failure`);
    counts.failed += counts.skipped;
  }
  for (const key of Object.keys(total)) total[key] += counts[key];
  rows.push({ name, ...counts, seconds: Math.round((Date.now() - start) / 1000) });
}
console.log('');
for (const row of rows) {
  console.log(
    `${row.name.padEnd(8)} ${String(row.passed).padStart(4)} passed ${String(row.failed).padStart(3)} failed ` +
      `${String(row.skipped).padStart(3)} skipped  ${row.seconds} s`,
  );
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
