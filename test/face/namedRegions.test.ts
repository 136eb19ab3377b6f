import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CANONICAL_REGIONS } from '../../lib/face/canonical.js';
import { DEFAULT_NAMING, RegionNaming, type NamingRule } from '../../lib/face/namedRegions.js';
import { FaceRegions, type RegionPolygons } from '../../lib/face/regions.js';
import { referenceFolder } from '../native/reference.js';

const SIZE = 224;

/** One map of python/oracles/region_naming.py, and what python/kfd_train/naming.py names on it. */
interface Case {
  rule: NamingRule;
  ground: number;
  steps: ({ region: string; value: number } | { disc: [number, number, number]; value: number })[];
  namedRegions: string[];
  extent: number;
}

function draw({ ground, steps }: Case, regions: FaceRegions): Float32Array {
  const map = new Float32Array(SIZE * SIZE).fill(ground);
  for (const step of steps) {
    if ('region' in step) for (const index of regions.pixels.get(step.region) ?? []) map[index] = step.value;
    else {
      const [column, row, radius] = step.disc;
      for (let y = 0; y < SIZE; y += 1)
        for (let x = 0; x < SIZE; x += 1)
          if ((x - column) ** 2 + (y - row) ** 2 <= radius ** 2) map[y * SIZE + x] = step.value;
    }
  }
  return map;
}

const box = (x: number, y: number, width: number, height: number): [number, number][] => [
  [x, y],
  [x + width, y],
  [x + width, y + height],
  [x, y + height],
];
/** Four parts and a center in a whole face of 100 x 100. */
const SMALL: RegionPolygons = {
  one: box(0, 0, 10, 10),
  two: box(10, 0, 10, 10),
  three: box(20, 0, 20, 10),
  four: box(40, 0, 10, 10),
  'center face': box(0, 50, 50, 10),
  'full face': box(0, 0, 100, 100),
};

describe('face: named regions', () => {
  const regions = new FaceRegions(SMALL);
  const lit = (shares: Record<string, number>, value = 1): Float32Array => {
    const map = new Float32Array(SIZE * SIZE);
    for (const [name, share] of Object.entries(shares)) {
      const pixels = regions.pixels.get(name) ?? assert.fail(name);
      for (const index of pixels.subarray(0, Math.round(share * pixels.length))) map[index] = value;
    }
    return map;
  };
  const named = (map: Float32Array, change: Partial<NamingRule> = {}): string[] =>
    new RegionNaming(regions, { ...DEFAULT_NAMING, minimum: 0.01, ...change }).names(map, 'fake');

  it('names parts by coverage, at most three, and none for a real face', () => {
    const map = lit({ one: 0.6, two: 0.9, three: 0.7, four: 0.8 });
    assert.deepEqual(named(map), ['two', 'four', 'three']);
    assert.deepEqual(named(map, { part: 0.75 }), ['two', 'four']);
    assert.deepEqual(new RegionNaming(regions).names(map, 'real'), []);
  });

  it('orders equal coverage by the mean, then as the manifest does', () => {
    assert.deepEqual(named(lit({ four: 1, one: 1 })), ['one', 'four']);
    const map = lit({ one: 1 }, 0.6);
    for (const index of regions.pixels.get('four') ?? []) map[index] = 0.9;
    assert.deepEqual(named(map), ['four', 'one']);
  });

  it('names the whole face or its center alone', () => {
    assert.deepEqual(named(lit({ 'full face': 0.61 })), ['full face']);
    assert.deepEqual(named(lit({ 'center face': 0.6, one: 1 })), ['center face']);
    assert.deepEqual(named(lit({ 'center face': 0.59, one: 1, two: 1 })), ['one', 'two']);
  });

  it('names none where too little is lit, or where the light lies elsewhere', () => {
    assert.deepEqual(named(lit({ one: 1 }), { minimum: 0.011 }), []);
    assert.deepEqual(named(lit({ one: 0.4, two: 0.4 })), [], 'no part covered');
    const map = lit({ one: 1 });
    map.fill(1, 150 * SIZE, 150 * SIZE + 240); // outside the face: 100 of 340 lit pixels lie in the part
    assert.deepEqual(named(map), []);
    assert.deepEqual(named(map, { explained: 0.29 }), ['one']);
  });

  it('counts a pixel from `lit` on, and the extent from 0.5 on whatever the rule', () => {
    const map = lit({ one: 1 }, 0.4);
    assert.deepEqual(named(map), []);
    assert.deepEqual(named(map, { lit: 0.4 }), ['one']);
    assert.deepEqual(named(map, { lit: 0.41 }), []);
    assert.equal(new RegionNaming(regions).extent(map), 0);
    assert.equal(new RegionNaming(regions).extent(lit({ one: 1 }, 0.5)), 0.01);
  });

  it('has nothing to say of a model without the region of the whole face', () => {
    const bare = new RegionNaming(new FaceRegions({ one: box(0, 0, 10, 10) }));
    assert.equal(bare.extent(lit({ one: 1 })), null);
    assert.deepEqual(bare.names(lit({ one: 1 }), 'fake'), []);
  });

  it('names what the Python rule names on 120 random maps', () => {
    const file = path.join(referenceFolder(), 'region_naming', 'cases.json');
    const { polygons, cases } = JSON.parse(readFileSync(file, 'utf8')) as {
      polygons: RegionPolygons;
      cases: Case[];
    };
    assert.equal(cases.length, 120);
    assert.deepEqual(Object.keys(polygons).sort(), Object.keys(CANONICAL_REGIONS).sort());
    const drawn = new FaceRegions(polygons);
    for (const [index, each] of cases.entries()) {
      const naming = new RegionNaming(drawn, each.rule);
      const map = draw(each, drawn);
      assert.deepEqual(naming.names(map, 'fake'), each.namedRegions, `case ${index}`);
      assert.equal(naming.extent(map), each.extent, `case ${index}`);
    }
  });
});
