import assert from 'node:assert/strict';
import { restoreDashes } from '../../lib/cli/detectInputs.js';

describe('detect: the lone dash', () => {
  it('comes back where it stood, but not as the value of --files-from', () => {
    assert.deepEqual(restoreDashes(['a', 'b'], ['node', 'main.js', 'detect', 'a', '-', 'b']), [
      'a',
      '-',
      'b',
    ]);
    assert.deepEqual(restoreDashes([], ['detect', '-', '--json']), ['-']);
    assert.deepEqual(restoreDashes(['a'], ['detect', '--files-from', '-', 'a']), ['a']);
    assert.deepEqual(restoreDashes(['a', 'b'], ['detect', 'b', 'a']), ['a', 'b'], 'nothing is ever lost');
  });
});
