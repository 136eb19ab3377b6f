import assert from 'node:assert/strict';
import { explanationPicture } from '../../lib/faithfulness/confidence.js';
import {
  iouAtMean,
  massInside,
  maskShare,
  pixelAuroc,
  pointingGame,
} from '../../lib/faithfulness/localisation.js';
import { areaUnder, blurred, flatPicture, mix, pixelOrder } from '../../lib/faithfulness/perturbation.js';
import { enlarge, type Mask, type Picture, type Plane } from '../../lib/faithfulness/plane.js';
import { Random } from '../../lib/faithfulness/random.js';
import { imputeNoisyLinear, removedPixels } from '../../lib/faithfulness/road.js';
import { arrayOf, present, readCase, type ReferenceCase } from '../native/reference.js';

/** Against scikit-learn, SciPy, PyTorch and NumPy: python/oracles/faithfulness.py. */

function planeOf(found: ReferenceCase, name: string): Plane {
  const { shape, data } = arrayOf(found, name);
  const [height = 0, width = 0] = shape;
  return { width, height, data };
}
const pictureOf = (found: ReferenceCase): Picture => planeOf(found, 'picture');
const numberOf = (found: ReferenceCase, name: string): number => arrayOf(found, name).data[0] ?? NaN;
const meanOf = (found: ReferenceCase): readonly [number, number, number] => {
  const [red = NaN, green = NaN, blue = NaN] = arrayOf(found, 'mean').data;
  return [red, green, blue];
};

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0);
  assert.ok(worst <= tolerance, `largest difference ${worst}`);
}

for (const name of ['square', 'wide', 'sharp']) {
  describe(`faithfulness: case ${name}`, () => {
    let found: ReferenceCase;
    let large: Plane;
    let mask: Mask;
    before(() => {
      found = readCase(`faithfulness_${name}`);
      large = planeOf(found, 'large');
      const { shape, data } = present(found.bytes.get('mask'), 'mask');
      mask = { width: shape[1] ?? 0, height: shape[0] ?? 0, data };
    });

    it('enlarges as PyTorch interpolates', () => {
      assertClose(enlarge(planeOf(found, 'grid'), large.width, large.height).data, large.data, 1e-6);
    });

    it('localises as scikit-learn and NumPy say', () => {
      const coarse = { ...large, data: large.data.map((value) => Math.round(value * 2)) };
      const rows: [number, string][] = [
        [pixelAuroc(large, mask), 'auroc'],
        [pixelAuroc(coarse, mask), 'auroc_coarse'],
        [iouAtMean(large, mask), 'iou'],
        [pointingGame(large, mask), 'pointing'],
        [massInside(large, mask), 'mass'],
        [maskShare(mask), 'share'],
      ];
      for (const [value, key] of rows) {
        assert.ok(Math.abs(value - numberOf(found, `expected.${key}`)) < 1e-6, `${key}: ${value}`);
      }
    });

    it('perturbs as NumPy does', () => {
      const picture = pictureOf(found);
      const order = pixelOrder(planeOf(found, 'distinct'), new Random(0));
      for (const fraction of [0.1, 0.5, 0.9]) {
        const deleted = mix(picture, flatPicture(picture, meanOf(found)), order, fraction);
        assertClose(deleted.data, arrayOf(found, `expected.deleted_${fraction}`).data, 0);
      }
      assertClose(blurred(picture, meanOf(found)).data, arrayOf(found, 'expected.blurred').data, 1e-3);
      const explained = explanationPicture(picture, large, meanOf(found));
      assertClose(explained.data, arrayOf(found, 'expected.explained').data, 1e-3);
    });

    it('imputes as the direct sparse solver does', () => {
      const order = pixelOrder(planeOf(found, 'distinct'), new Random(0));
      for (const fraction of [0.1, 0.5, 0.9]) {
        const options = { noise: 0, tolerance: 1e-8 };
        const filled = imputeNoisyLinear(
          pictureOf(found),
          removedPixels(order, fraction),
          new Random(0),
          options,
        );
        assertClose(filled.data, arrayOf(found, `expected.imputed_${fraction}`).data, 1e-3);
      }
    });

    it('measures areas as NumPy does', () => {
      const area = areaUnder([...arrayOf(found, 'curve').data], [...arrayOf(found, 'at').data]);
      assert.ok(Math.abs(area - numberOf(found, 'expected.area')) < 1e-6);
    });
  });
}
