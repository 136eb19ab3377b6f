import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { EXIT, exitCodeOf } from '../../lib/cli/exitCodes.js';
import { ERROR_CODES, KfdError, toKfdError } from '../../lib/errors.js';
import { packageRoot } from '../../lib/native/config.js';

describe('docs/errors.md', () => {
  const text = readFileSync(path.join(packageRoot(), 'docs', 'errors.md'), 'utf8');
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| `ERR_'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

  it('has one row for each code, in the order of lib/errors.ts', () => {
    assert.deepEqual(
      rows.map(([code]) => code),
      ERROR_CODES.map((code) => `\`${code}\``),
    );
  });

  it('gives the exit code that the command line uses', () => {
    for (const [index, code] of ERROR_CODES.entries())
      assert.equal(rows[index]?.[1], String(exitCodeOf(code)), code);
  });

  it('says in every row what happened and what to do', () => {
    for (const row of rows) assert.ok(row.length === 4 && row.every((cell) => cell !== ''), row.join(' | '));
  });

  it('names every exit code', () => {
    for (const code of Object.values(EXIT)) assert.match(text, new RegExp(`\\b${code}\\b`));
  });
});

describe('KfdError', () => {
  it('keeps code, message and hint in JSON', () => {
    const error = new KfdError('ERR_KFD_DEVICE', 'no such device', { hint: 'use cpu' });
    const expected = { code: 'ERR_KFD_DEVICE', message: 'no such device', hint: 'use cpu' };
    assert.deepEqual(JSON.parse(JSON.stringify(error)), expected);
    assert.equal(new KfdError('ERR_KFD_DEVICE', 'none').toJSON().hint, null);
  });

  it('is made of anything thrown, keeping a code of ours and hiding no cause', () => {
    const native = Object.assign(new Error('queue'), { code: 'ERR_KFD_QUEUE_FULL', hint: 'wait' });
    const error = toKfdError(native);
    assert.deepEqual([error.code, error.hint, error.cause], ['ERR_KFD_QUEUE_FULL', 'wait', native]);
    assert.equal(toKfdError(error), error);
    const foreign = Object.assign(new Error('x'), { code: 'ENOENT' });
    assert.equal(toKfdError(foreign).code, 'ERR_KFD_INTERNAL');
    assert.equal(toKfdError('text', 'ERR_KFD_BUILD').message, 'text');
  });
});
