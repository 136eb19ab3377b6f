import assert from 'node:assert/strict';
import { bootstrapMean, bootstrapRatio } from '../../lib/faithfulness/bootstrap.js';
import { Random } from '../../lib/faithfulness/random.js';

describe('faithfulness: random numbers', () => {
  it('are the same for a seed and a purpose, and differ otherwise', () => {
    const draw = (seed: number, purpose: string) => {
      const random = new Random(seed, purpose);
      return Array.from({ length: 5 }, () => random.next());
    };
    assert.deepEqual(draw(1, 'a.png'), draw(1, 'a.png'));
    assert.notDeepEqual(draw(1, 'a.png'), draw(2, 'a.png'));
    assert.notDeepEqual(draw(1, 'a.png'), draw(1, 'b.png'));
  });

  it('are uniform and normal', () => {
    const random = new Random(5);
    const uniform = Array.from({ length: 20_000 }, () => random.next());
    const normal = Array.from({ length: 20_000 }, () => random.gaussian());
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    assert.ok(Math.abs(mean(uniform) - 0.5) < 0.01);
    assert.ok(Math.abs(mean(uniform.map((u) => (u - 0.5) ** 2)) - 1 / 12) < 0.002);
    assert.ok(Math.abs(mean(normal)) < 0.03);
    assert.ok(Math.abs(mean(normal.map((n) => n * n)) - 1) < 0.04);
    const within = normal.filter((n) => Math.abs(n) < 1).length / normal.length;
    assert.ok(Math.abs(within - 0.6827) < 0.015, String(within));
    const counts = new Uint32Array(7);
    for (let i = 0; i < 14_000; i += 1) {
      const drawn = random.integer(7);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    assert.ok(
      counts.every((count) => Math.abs(count - 2000) < 200),
      counts.join(),
    );
  });
});

describe('faithfulness: bootstrap', () => {
  const random = new Random(9);
  const values = Array.from({ length: 400 }, () => 3 + 2 * random.gaussian());

  it('gives the interval of a mean of independent values', () => {
    const { mean, low, high, count } = bootstrapMean(values, { seed: 1 });
    assert.equal(count, 400);
    assert.ok(Math.abs((mean - low) / (1.96 * 0.1) - 1) < 0.2, `${low} ${mean} ${high}`);
    assert.ok(Math.abs((high - mean) / (1.96 * 0.1) - 1) < 0.2, `${low} ${mean} ${high}`);
    const narrow = bootstrapMean(values, { seed: 1, level: 0.5 });
    assert.ok(narrow.low > low && narrow.high < high);
  });

  it('is reproducible by its seed', () => {
    assert.deepEqual(bootstrapMean(values, { seed: 1 }), bootstrapMean(values, { seed: 1 }));
    assert.notDeepEqual(bootstrapMean(values, { seed: 1 }), bootstrapMean(values, { seed: 2 }));
  });

  it('draws whole groups: repeating every value changes nothing', () => {
    const people = values.slice(0, 20).flatMap((value) => Array<number>(10).fill(value));
    const groups = people.map((_, i) => `person ${Math.floor(i / 10)}`);
    const alone = bootstrapMean(values.slice(0, 20), { seed: 4 });
    const grouped = bootstrapMean(people, { seed: 4, groups });
    const naive = bootstrapMean(people, { seed: 4 });
    assert.ok(Math.abs(grouped.low - alone.low) < 1e-9 && Math.abs(grouped.high - alone.high) < 1e-9);
    assert.ok(naive.high - naive.low < 0.5 * (grouped.high - grouped.low));
  });

  it('has no spread for one value or one group', () => {
    assert.deepEqual(bootstrapMean([2]), { mean: 2, low: 2, high: 2, count: 1 });
    assert.deepEqual(bootstrapMean([1, 3], { groups: ['a', 'a'] }), { mean: 2, low: 2, high: 2, count: 2 });
  });

  it('pools numerators and denominators, and leaves draws without any out', () => {
    const ratio = bootstrapRatio([3, 0, 1], [4, 0, 4], { groups: ['a', 'b', 'c'], seed: 2 });
    assert.equal(ratio.mean, 0.5);
    assert.deepEqual([ratio.low, ratio.high, ratio.count], [0.25, 0.75, 3]);
    assert.deepEqual(
      bootstrapRatio(
        values,
        values.map(() => 1),
        { seed: 3 },
      ),
      bootstrapMean(values, { seed: 3 }),
    );
    assert.throws(() => bootstrapRatio([1, 2], [1]), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    assert.throws(() => bootstrapRatio([0, 0], [0, 0]), { code: 'ERR_KFD_INVALID_ARGUMENT' });
  });

  it('refuses nothing, no numbers, and groups of another length', () => {
    for (const call of [
      () => bootstrapMean([]),
      () => bootstrapMean([1, NaN]),
      () => bootstrapMean([1, 2], { groups: ['a'] }),
    ]) {
      assert.throws(call, { code: 'ERR_KFD_INVALID_ARGUMENT' });
    }
  });
});
