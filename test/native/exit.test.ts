import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { modelOf, readCase } from './reference.js';

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  ms: number;
}

const CHILD = fileURLToPath(new URL('./exitChild.js', import.meta.url));

/** Runs exitChild in one mode; `kill` is sent when it says that it works. */
function childEnds(mode: string, kill?: NodeJS.Signals): Promise<Ended> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, mode, modelOf(readCase('vit_plain'))], { timeout: 60_000 });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
      if (kill !== undefined && stdout.includes('working')) child.kill(kill);
    });
    child.stderr.on('data', (chunk) => (stderr += String(chunk)));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code, signal, stdout, stderr, ms: performance.now() - start }),
    );
  });
}

describe('the end of the process', () => {
  const cases: { mode: string; code: number; stdout: RegExp; stderr?: RegExp }[] = [
    { mode: 'return', code: 0, stdout: /^result 1024,10\n$/ },
    { mode: 'exit', code: 7, stdout: /^$/ },
    { mode: 'really-exit', code: 8, stdout: /^$/ },
    { mode: 'throw', code: 1, stdout: /^$/, stderr: /uncaught on purpose/ },
    { mode: 'reject', code: 1, stdout: /^$/, stderr: /unhandled on purpose/ },
    { mode: 'dispose', code: 0, stdout: /^ERR_KFD_(DISPOSED|ABORTED)\ndisposed\n$/ },
    { mode: 'dispose-and-exit', code: 9, stdout: /^$/ },
    { mode: 'parked-walk', code: 0, stdout: /^$/ },
    { mode: 'parked-flow', code: 0, stdout: /^$/ },
    { mode: 'exit-in-flow', code: 11, stdout: /^$/ },
    { mode: 'exit-in-callback', code: 10, stdout: /^$/ },
  ];
  for (const { mode, code, stdout, stderr } of cases) {
    it(`${mode}: exit code ${code}, no signal, nothing on stderr`, async () => {
      const ended = await childEnds(mode);
      assert.equal(ended.signal, null, ended.stderr);
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stdout, stdout);
      if (stderr === undefined) assert.equal(ended.stderr, '');
      else assert.match(ended.stderr, stderr);
    });
  }

  it('SIGTERM and SIGINT end a working process at once', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const ended = await childEnds('wait', signal);
      assert.equal(ended.signal, signal);
      assert.equal(ended.stderr, '');
    }
  });

  it('ten exits in the middle of work, all clean', async () => {
    for (let i = 0; i < 10; i++) {
      const { code, signal, stderr } = await childEnds('exit');
      assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' }, `exit ${i}`);
    }
  });
});
