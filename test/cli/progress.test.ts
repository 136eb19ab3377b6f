import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';

const PROGRESS = path.join(packageRoot(), 'build', 'ts', 'lib', 'cli', 'progress.js');

/** Draws a bar in a child whose stderr is, or is not, a terminal, and returns what it wrote. */
function draw(isTerminal: boolean, options: string, environment: Record<string, string> = {}): string {
  const script = `
    process.stderr.isTTY = ${isTerminal};
    const { startProgress } = await import(${JSON.stringify(PROGRESS)});
    const bar = startProgress(${options});
    bar.update(1048576 * 3);
    bar.stop();
    bar.stop();`;
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'CI'));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    env: { ...inherited, ...environment },
  });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, '', 'stdout is for results');
  return stderr;
}

describe('progress bar', () => {
  const BYTES = "{ label: 'libtorch', total: 1048576 * 6, unit: 'bytes' }";

  it('is drawn on a terminal, in MiB', () => {
    assert.match(draw(true, BYTES), /libtorch \[.*\] 0\/6 MiB/);
  });

  it('gives its line up to text that is printed meanwhile', () => {
    const output = path.join(path.dirname(PROGRESS), 'output.js');
    const script = `
      process.stderr.isTTY = true;
      const { startProgress } = await import(${JSON.stringify(PROGRESS)});
      const { writeMessage } = await import(${JSON.stringify(output)});
      const bar = startProgress({ label: 'detect', total: 2, unit: 'files' });
      writeMessage('a line');
      bar.update(1);
      bar.stop();
      writeMessage('after');`;
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'CI'));
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
      env: environment,
    });
    assert.ok(stderr.includes('\r\u001b[2Ka line\n'), stderr);
    const saved = stderr.lastIndexOf('\u001b7');
    assert.ok(saved > stderr.indexOf('a line'), 'the cursor that is restored was saved after the line');
    assert.ok(stderr.lastIndexOf('\u001b8') > saved && stderr.endsWith('after\n'), stderr);
  });

  it('is not drawn into a pipe, with CI, or with quiet', () => {
    assert.equal(draw(false, BYTES), '');
    assert.equal(draw(true, BYTES, { CI: 'true' }), '');
    assert.equal(draw(true, "{ label: 'x', total: 5, unit: 'files', quiet: true }"), '');
  });

  it('counts where the total is unknown', () => {
    assert.match(draw(true, "{ label: 'images', unit: 'files' }"), /images 0 files/);
  });
});
