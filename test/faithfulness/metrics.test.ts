import assert from 'node:assert/strict';
import { averageDrop, explanationPicture, increaseInConfidence } from '../../lib/faithfulness/confidence.js';
import {
  iouAtMean,
  localisation,
  massInside,
  maskShare,
  pixelAuroc,
  pointingGame,
} from '../../lib/faithfulness/localisation.js';
import {
  areaUnder,
  flatPicture,
  innerFractions,
  mix,
  pixelOrder,
} from '../../lib/faithfulness/perturbation.js';
import { enlarge, scaleToUnit, type Mask, type Picture, type Plane } from '../../lib/faithfulness/plane.js';
import { Random } from '../../lib/faithfulness/random.js';
import { imputeNoisyLinear, removedPixels, roadCombined } from '../../lib/faithfulness/road.js';

/** Cases small enough for pencil and paper; the independent references are in oracle.test.ts. */

const plane = (width: number, ...values: number[]): Plane => ({
  width,
  height: values.length / width,
  data: Float32Array.from(values),
});
const maskOf = (width: number, ...values: number[]): Mask => ({
  width,
  height: values.length / width,
  data: Uint8Array.from(values),
});
const grey = (width: number, ...values: number[]): Picture => ({
  width,
  height: values.length / width,
  data: Float32Array.from(values.flatMap((value) => [value, value, value])),
});
const redOf = ({ data }: Picture): number[] => Array.from(data).filter((_, i) => i % 3 === 0);
const refused = { code: 'ERR_KFD_INVALID_ARGUMENT' };

describe('faithfulness: localisation', () => {
  const mask = maskOf(4, 1, 1, 0, 0, 0, 0, 0, 0);

  it('gives the extremes for a perfect and an inverted map', () => {
    assert.deepEqual(localisation(plane(4, 1, 1, 0, 0, 0, 0, 0, 0), mask), {
      pointing: 1,
      iou: 1,
      auroc: 1,
      mass: 1,
    });
    assert.deepEqual(localisation(plane(4, 0, 0, 1, 1, 1, 1, 1, 1), mask), {
      pointing: 0,
      iou: 0,
      auroc: 0,
      mass: 0,
    });
  });

  it('gives chance for constant maps, of zeros, of ones and below zero', () => {
    for (const value of [0, 0.1, 1, -3]) {
      const constant = localisation(plane(4, ...Array<number>(8).fill(value)), mask);
      assert.equal(constant.pointing, maskShare(mask));
      assert.equal(constant.iou, 0);
      assert.equal(constant.auroc, 0.5);
      assert.ok(Math.abs(constant.mass - 0.25) < 1e-12, String(value));
    }
  });

  it('counts by hand', () => {
    const map = plane(4, 4, 1, 2, 1, 0, 0, 0, -5);
    assert.equal(pointingGame(map, mask), 1);
    assert.equal(massInside(map, mask), 5 / 8); // 4 + 1 of 4 + 1 + 2 + 1
    // pairs: 4 beats six; 1 beats four (three zeros and -5), loses to 2, ties with 1
    assert.equal(pixelAuroc(map, mask), (6 + 4 + 0.5) / 12);
    // mean 3/8: above are 4, 1, 2, 1: two of them in the mask
    assert.equal(iouAtMean(map, mask), 2 / 4);
  });

  it('shares a pointing game between equal maxima', () => {
    assert.equal(pointingGame(plane(4, 7, 0, 7, 7, 0, 0, 0, 7), mask), 1 / 4);
  });

  it('does not tell the two zeros apart', () => {
    assert.equal(pixelAuroc(plane(2, 0, -0), maskOf(2, 1, 0)), 0.5);
  });

  it('does not change with scale, and only mass changes with a shift', () => {
    const map = plane(4, 4, 1, 2, 1, 0, 0, 0, 3);
    const moved = plane(4, ...map.data.map((value) => value + 2));
    const scaled = plane(4, ...map.data.map((value) => value * 8));
    assert.deepEqual(localisation(scaled, mask), localisation(map, mask));
    assert.deepEqual({ ...localisation(moved, mask), mass: 0 }, { ...localisation(map, mask), mass: 0 });
    assert.notEqual(massInside(moved, mask), massInside(map, mask));
  });

  it('refuses masks without pixels inside or outside, and other sizes', () => {
    const map = plane(2, 1, 2);
    for (const wrong of [maskOf(2, 0, 0), maskOf(2, 1, 1), maskOf(3, 1, 0, 0)]) {
      for (const metric of [pointingGame, iouAtMean, pixelAuroc, massInside]) {
        assert.throws(() => metric(map, wrong), refused);
      }
    }
  });
});

describe('faithfulness: maps that are no numbers', () => {
  it('are refused', () => {
    for (const value of [NaN, Infinity]) {
      const broken = plane(2, 1, value);
      const message = /entry 1 is/;
      assert.throws(() => localisation(broken, maskOf(2, 1, 0)), { code: 'ERR_KFD_NOT_FINITE', message });
      assert.throws(() => pixelOrder(broken, new Random(0)), { code: 'ERR_KFD_NOT_FINITE', message });
    }
  });
});

describe('faithfulness: pixels taken away and added', () => {
  const picture = grey(5, 10, 20, 30, 40, 50);
  const map = plane(5, 3, 5, 1, 4, 2);

  it('orders by relevance, and equal values at random but reproducibly', () => {
    assert.deepEqual([...pixelOrder(map, new Random(1))], [1, 3, 0, 4, 2]);
    const flat = plane(64, ...Array<number>(64 * 64).fill(0));
    const [first, again, other] = [1, 1, 2].map((seed) => pixelOrder(flat, new Random(seed)));
    assert.deepEqual(first, again);
    assert.notDeepEqual(first, other);
    const mean = (first ?? new Uint32Array()).subarray(0, 1000).reduce((sum, pixel) => sum + pixel, 0) / 1000;
    assert.ok(Math.abs(mean - 2048) < 150, `first pixels of a flat map lie around ${mean}`);
    assert.equal(new Set(first).size, 64 * 64);
  });

  it('takes the first pixels of the order from the other picture', () => {
    const order = pixelOrder(map, new Random(1));
    const black = flatPicture(picture);
    assert.deepEqual(redOf(mix(picture, black, order, 0.4)), [10, 0, 30, 0, 50]);
    assert.deepEqual(redOf(mix(picture, black, order.toReversed(), 0.4)), [10, 20, 0, 40, 0]);
    assert.deepEqual(redOf(mix(picture, black, order, 0)), redOf(picture));
    assert.deepEqual(redOf(mix(picture, black, order, 1)), [0, 0, 0, 0, 0]);
    assert.deepEqual(redOf(picture), [10, 20, 30, 40, 50], 'the picture itself stays');
    assert.throws(() => mix(picture, grey(4, 1, 2, 3, 4), order, 0.5), refused);
  });

  it('measures areas', () => {
    assert.equal(areaUnder([1, 1, 1], [0, 0.3, 1]), 1);
    assert.equal(areaUnder([1, 0], [0.1, 0.9]), 0.5);
    assert.ok(Math.abs(areaUnder([0, 1, 0.5], [0, 0.5, 1]) - 0.625) < 1e-15);
    assert.deepEqual(innerFractions(4), [0.25, 0.5, 0.75]);
    assert.throws(() => areaUnder([1], [0]), refused);
    assert.throws(() => areaUnder([1, 2], [0, 1, 2]), refused);
  });
});

describe('faithfulness: confidence', () => {
  it('weighs the picture with the scaled map, the mean colour where it is zero', () => {
    const explained = explanationPicture(grey(3, 10, 20, 30), plane(3, 1, 2, 3), [100, 100, 100]);
    assert.deepEqual(redOf(explained), [100, 60, 30]);
    const constant = explanationPicture(grey(2, 10, 20), plane(2, 5, 5), [1, 2, 3]);
    assert.deepEqual([...constant.data], [1, 2, 3, 1, 2, 3]);
  });

  it('counts drops and increases', () => {
    assert.equal(averageDrop(0.8, 0.6), (0.8 - 0.6) / 0.8);
    assert.equal(averageDrop(0.8, 0.9), 0);
    assert.equal(averageDrop(0, 0.9), 0);
    assert.deepEqual(
      [increaseInConfidence(0.5, 0.6), increaseInConfidence(0.5, 0.5), increaseInConfidence(0.5, 0.4)],
      [1, 0, 0],
    );
  });
});

describe('faithfulness: ROAD', () => {
  it('imputes one pixel as the weighted mean of its neighbours', () => {
    const picture = grey(3, 12, 24, 12, 24, 200, 24, 12, 24, 12);
    const flags = Uint8Array.from([0, 0, 0, 0, 1, 0, 0, 0, 0]);
    const filled = imputeNoisyLinear(picture, flags, new Random(0), { noise: 0, tolerance: 1e-9 });
    assert.ok(Math.abs((redOf(filled)[4] ?? NaN) - (4 * 24 + (4 * 12) / 2) / 6) < 1e-6);
    assert.deepEqual(redOf(filled).toSpliced(4, 1), redOf(picture).toSpliced(4, 1));
  });

  it('fills a constant picture with its constant, and adds noise of the stated size', () => {
    const picture = flatPicture({ width: 60, height: 60, data: new Float32Array() }, [50, 100, 200]);
    const order = new Random(3).permutation(3600);
    const removed = removedPixels(order, 0.9);
    assert.equal(
      removed.reduce((sum, flag) => sum + flag, 0),
      3240,
    );
    const exact = imputeNoisyLinear(picture, removed, new Random(4), { noise: 0, tolerance: 1e-6 });
    assert.ok(exact.data.every((value, i) => Math.abs(value - (picture.data[i] ?? NaN)) < 1e-3));
    const noisy = imputeNoisyLinear(picture, removed, new Random(4));
    const differences = noisy.data
      .filter((_, i) => removed[Math.floor(i / 3)] === 1)
      .map((value, i) => value - ([50, 100, 200][i % 3] ?? NaN));
    const deviation = Math.sqrt(differences.reduce((sum, d) => sum + d * d, 0) / differences.length);
    assert.ok(Math.abs(deviation - 2.55) < 0.06, String(deviation));
    assert.deepEqual(imputeNoisyLinear(picture, removed, new Random(4)).data, noisy.data);
  });

  it('refuses a picture of which nothing is left', () => {
    const picture = grey(2, 1, 2);
    assert.throws(() => imputeNoisyLinear(picture, Uint8Array.from([1, 1]), new Random(0)), refused);
    assert.throws(() => imputeNoisyLinear(picture, Uint8Array.from([1, 0, 0]), new Random(0)), refused);
  });

  it('combines both orders', () => {
    assert.ok(Math.abs(roadCombined(0.2, 0.8) - 0.3) < 1e-15);
  });
});

describe('faithfulness: planes', () => {
  it('enlarges without leaving the range, and keeps constants', () => {
    assert.deepEqual([...enlarge(plane(2, 0, 4), 4, 1).data], [0, 1, 3, 4]);
    const large = enlarge(plane(2, 0, 1, 1, 0), 7, 9);
    assert.ok(large.data.every((value) => value >= 0 && value <= 1));
    assert.ok(enlarge(plane(3, 0.1, 0.1, 0.1), 9, 5).data.every((value) => value === Math.fround(0.1)));
  });

  it('scales to 0..1, constants to zeros', () => {
    assert.deepEqual([...scaleToUnit(plane(3, -1, 0, 1)).data], [0, 0.5, 1]);
    assert.deepEqual([...scaleToUnit(plane(2, 3, 3)).data], [0, 0]);
  });
});
