import assert from 'node:assert/strict';
import {
  accumulate,
  massShares,
  meanThresholdIou,
  milestone,
  positivePart,
  ranks,
  spearman,
} from '../../lib/daam/maps.js';
import { renderLevels, type RenderStyle } from '../../lib/daam/rendering.js';
import { arrayOf, present, readCase } from '../native/reference.js';

const map = (...values: number[]) => Float32Array.from(values);

describe('daam: arithmetic on maps', () => {
  it('keeps what is positive and adds up from the first block on', () => {
    const maps = [map(1, -2, 0), map(0.5, 3, -1)].map(positivePart);
    assert.deepEqual(maps, [map(1, 0, 0), map(0.5, 3, 0)]);
    assert.deepEqual(accumulate(maps), [map(1, 0, 0), map(1.5, 3, 0)]);
  });

  it('never lets a sum fall by rounding', () => {
    const maps = Array.from({ length: 200 }, (_, block) => map(1e8 / (block + 1), 1e-9));
    const sums = accumulate(maps);
    for (const [block, sum] of sums.entries()) {
      sum.forEach((value, cell) => assert.ok(value >= (sums[block - 1]?.[cell] ?? 0)));
    }
  });

  it('tells the share of each block, and when half and nine tenths have come', () => {
    const shares = massShares([map(1, 1), map(0, 3), map(4, 0), map(1, 0)]);
    assert.deepEqual(shares, [0.2, 0.3, 0.4, 0.1]);
    assert.equal(milestone(shares, 0.5), 1);
    assert.equal(milestone(shares, 0.9), 2);
    assert.deepEqual(massShares([map(0, 0), map(0, 0)]), [0, 0]);
    assert.equal(milestone([0, 0], 0.5), null);
  });

  it('compares maps above their means', () => {
    assert.equal(meanThresholdIou(map(0, 0, 1, 1), map(0, 0, 5, 5)), 1);
    assert.equal(meanThresholdIou(map(0, 1, 1, 0), map(0, 0, 1, 1)), 1 / 3);
    assert.equal(meanThresholdIou(map(2, 2), map(0, 0)), 1);
    assert.equal(meanThresholdIou(map(2, 2), map(0, 1)), 0);
  });

  it('ranks with ties and correlates ranks', () => {
    assert.deepEqual([...ranks(map(3, 1, 3, 2))], [3.5, 1, 3.5, 2]);
    assert.equal(spearman(map(1, 2, 3), map(10, 20, 300)), 1);
    assert.equal(spearman(map(1, 2, 3), map(3, 2, 1)), -1);
    assert.equal(spearman(map(1, 1, 1), map(3, 2, 1)), 0);
    // ranks (1, 2.5, 2.5, 4) and (4, 1, 2.5, 2.5): covariance -2.25 + 0, variances 4.5
    assert.ok(Math.abs(spearman(map(1, 2, 2, 4), map(4, 1, 3, 3)) + 2.25 / 4.5) < 1e-12);
  });
});

describe('daam: the two published renderings', () => {
  const reference = readCase('daam_render');
  const cases = Number(present(reference.settings.get('cases'), 'cases'));

  /** Levels of every case in both styles, beside those of numpy and OpenCV. */
  for (let number = 0; number < cases; number += 1) {
    for (const style of ['linear', 'sigmoid'] satisfies RenderStyle[]) {
      it(`case ${number}, ${style}`, () => {
        const { shape, data } = arrayOf(reference, `maps.${number}`);
        const [blocks = 0, height = 0, width = 0] = shape;
        const size = height * width;
        const maps = Array.from({ length: blocks }, (_, block) =>
          data.slice(block * size, (block + 1) * size),
        );
        const expected = present(reference.bytes.get(`${style}.${number}`), style).data;
        const levels = renderLevels(maps, style).flatMap((each) => [...each]);
        assert.equal(levels.length, expected.length);
        const differences = levels.map((level, at) => Math.abs(level - (expected[at] ?? NaN)));
        assert.equal(Math.max(...differences) <= 1, true, `differs by ${Math.max(...differences)}`);
        const share = differences.filter((difference) => difference > 0).length / differences.length;
        assert.ok(share < 0.01, `${(100 * share).toFixed(1)} % of the levels differ by one`);
      });
    }
  }

  it('gives zeros and no NaN for constant maps', () => {
    for (const style of ['linear', 'sigmoid'] satisfies RenderStyle[]) {
      for (const value of [0, 7]) {
        const levels = renderLevels([map(value, value, value), map(value, value, value)], style);
        assert.deepEqual(levels, [new Uint8Array(3), new Uint8Array(3)]);
      }
      const mixed = renderLevels([map(0, 0), map(1, 2)], style);
      assert.deepEqual(mixed[0], new Uint8Array(2));
      assert.ok((mixed[1]?.[1] ?? 0) >= 254);
    }
  });

  it('clips where the official code wraps around', () => {
    // 255 * ratio exceeds 255: the first map spans more than the last one
    const [first] = renderLevels([map(0, 10), map(9, 11)], 'linear');
    assert.deepEqual([...(first ?? [])], [0, 255]);
  });
});
