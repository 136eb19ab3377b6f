import assert from 'node:assert/strict';
import { enlargeLevels, publishedOverlay } from '../../lib/report/publishedOverlay.js';
import { present, readCase } from '../native/reference.js';

const CASES = 6;

/** Largest difference of two byte arrays. */
function largestDifference(actual: Uint8Array, expected: Uint8Array): number {
  assert.equal(actual.length, expected.length);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0);
}

describe('published overlay, against OpenCV', () => {
  const reference = readCase('daam_render');
  const bytes = (name: string) => present(reference.bytes.get(name), name);
  const picture = bytes('picture');
  const [height = 0, width = 0] = picture.shape;

  for (let i = 0; i < CASES; i += 1) {
    const { shape, data } = bytes(`sigmoid.${i}`);
    const [, rows = 0, columns = 0] = shape;
    const last = data.slice(-rows * columns);

    it(`enlarges levels within one, case ${i}`, () => {
      const enlarged = enlargeLevels(last, { width: columns, height: rows }, { width, height });
      assert.ok(largestDifference(enlarged, bytes(`enlarged.${i}`).data) <= 1);
    });

    it(`blends within what one level of the map makes, case ${i}`, () => {
      const image = { data: picture.data, width, height, format: 'raw' };
      const overlay = publishedOverlay(last, { width: columns, height: rows }, image);
      // jet changes by up to 4 a level, of which 0.4 are seen, and both sides round
      assert.ok(largestDifference(overlay.data, bytes(`overlay.${i}`).data) <= 3);
    });
  }
});
