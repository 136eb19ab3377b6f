import assert from 'node:assert/strict';
import { alignFace, applyAffine, cropCorners, invertAffine, similarity } from '../../lib/face/alignment.js';
import {
  anchorCentres,
  decodeCandidates,
  squareAffine,
  squareAround,
  wholeSquare,
} from '../../lib/face/blazeFace.js';
import type { Face, Point } from '../../lib/face/face.js';
import { FaceRegions, rasterizePolygon } from '../../lib/face/regions.js';
import { dropTwins, intersectionOverUnion, suppressOverlaps } from '../../lib/face/suppression.js';

const close = (actual: number, expected: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);

const face = (x: number, y: number, side: number, confidence: number): Face => ({
  box: [x, y, side, side],
  confidence,
  keypoints: [[x, y]],
});

describe('face: anchors and decoding', () => {
  it('has 896 anchors in the order of the network', () => {
    const anchors = anchorCentres();
    assert.equal(anchors.length, 896);
    assert.deepEqual(anchors[0], [8, 8]);
    assert.deepEqual(anchors[1], [8, 8], 'two in a cell of the fine grid');
    assert.deepEqual(anchors[2], [24, 8], 'columns run first');
    assert.deepEqual(anchors[511], [248, 248]);
    assert.deepEqual(anchors[512], [16, 16]);
    assert.deepEqual(anchors[517], [16, 16], 'six in a cell of the coarse grid');
    assert.deepEqual(anchors[518], [48, 16]);
    assert.deepEqual(anchors[895], [240, 240]);
  });

  it('takes squares around pictures and faces in whole pixels', () => {
    assert.deepEqual(wholeSquare(512, 512), { x: 0, y: 0, side: 512 });
    assert.deepEqual(wholeSquare(512, 257), { x: 0, y: -127, side: 512 });
    assert.deepEqual(squareAround([10, 20, 30.5, 12], 5), { x: -52, y: -51, side: 153 });
    assert.deepEqual(squareAffine({ x: -5, y: 7, side: 512 }), [2, 0, -5, 0, 2, 7]);
  });

  it('turns offsets into picture pixels and drops weak and empty rows', () => {
    const scores = new Float32Array(896).fill(-20);
    const boxes = new Float32Array(896 * 16);
    scores[2] = 2; // anchor (24, 8)
    boxes.set([6, 60, 40, 20, 1, 2], 2 * 16); // centre, size, right eye
    scores[3] = 5; // a box without extent
    const [found, ...others] = decodeCandidates(scores, boxes, wholeSquare(512, 256), 0.5);
    assert.ok(found);
    assert.equal(others.length, 0);
    close(found.confidence, 1 / (1 + Math.exp(-2)), 1e-7);
    assert.deepEqual(found.box, [(30 - 20) * 2, (68 - 64 - 10) * 2, 80, 40]);
    assert.deepEqual(found.keypoints[0], [(24 + 1) * 2, (8 + 2 - 64) * 2]);
    assert.equal(found.keypoints.length, 6);
    assert.equal(decodeCandidates(scores, boxes, wholeSquare(512, 256), 0.9).length, 0);
  });
});

describe('face: suppression of overlaps', () => {
  it('computes intersection over union', () => {
    close(intersectionOverUnion([0, 0, 2, 2], [1, 1, 2, 2]), 1 / 7);
    assert.equal(intersectionOverUnion([0, 0, 2, 2], [2, 0, 2, 2]), 0);
    assert.equal(intersectionOverUnion([0, 0, 2, 2], [0, 0, 2, 2]), 1);
  });

  it('drops what overlaps a more confident face', () => {
    const kept = dropTwins([face(0, 0, 10, 0.6), face(2, 0, 10, 0.9), face(40, 0, 10, 0.5)], 0.3);
    assert.deepEqual(
      kept.map((found) => found.confidence),
      [0.9, 0.5],
    );
  });

  it('merges a cluster by confidence and keeps separate faces', () => {
    const faces = suppressOverlaps([face(0, 0, 10, 0.6), face(50, 50, 10, 0.7), face(2, 0, 10, 0.9)], 0.3);
    assert.deepEqual(
      faces.map((found) => found.confidence),
      [0.9, 0.7],
    );
    close(faces[0]?.box[0] ?? NaN, (0.9 * 2 + 0.6 * 0) / 1.5);
    close(faces[0]?.keypoints[0]?.[0] ?? NaN, 1.2);
    assert.deepEqual(suppressOverlaps([], 0.3), []);
  });
});

describe('face: alignment', () => {
  const template: Point[] = [
    [83, 92],
    [141, 92],
    [112, 125],
    [112, 153],
  ];

  it('finds the similarity that made the points', () => {
    const angle = 0.7;
    const truth = [
      3 * Math.cos(angle),
      -3 * Math.sin(angle),
      40,
      3 * Math.sin(angle),
      3 * Math.cos(angle),
      -7,
    ] as const;
    const crop = alignFace(
      template.map((point) => applyAffine(truth, point)),
      template,
    );
    truth.forEach((value, index) => close(crop[index] ?? NaN, value, 1e-9));
  });

  it('never reflects', () => {
    const mirrored = template.map(([x, y]): Point => [-x, y]);
    const [a, b, , d, e] = similarity(template, mirrored);
    assert.ok(a * e - b * d > 0);
  });

  it('is the least-squares solution: no small change of it is better', () => {
    const points: Point[] = [
      [10, 20],
      [70, 25],
      [38, 60],
      [44, 90],
    ];
    const best = similarity(points, template);
    const error = (a: number, b: number, x: number, y: number) =>
      points.reduce((sum, point, index) => {
        const [u, v] = applyAffine([a, -b, x, b, a, y], point);
        const [tu, tv] = template[index] ?? [NaN, NaN];
        return sum + (u - tu) ** 2 + (v - tv) ** 2;
      }, 0);
    const at = [best[0], best[3], best[2], best[5]] as const;
    for (let parameter = 0; parameter < 4; parameter += 1) {
      for (const step of [-1e-3, 1e-3]) {
        const moved = at.map((value, index) => value + (index === parameter ? step : 0)) as [
          number,
          number,
          number,
          number,
        ];
        assert.ok(error(...moved) > error(...at));
      }
    }
  });

  it('inverts, and gives the corners of the crop', () => {
    const crop = alignFace(
      [
        [200, 100],
        [260, 110],
        [225, 150],
        [222, 175],
      ],
      template,
    );
    const [x, y] = applyAffine(invertAffine(crop), applyAffine(crop, [10, 20]));
    close(x, 10, 1e-9);
    close(y, 20, 1e-9);
    assert.deepEqual(cropCorners([2, 0, 5, 0, 2, 6], 224), [
      [5, 6],
      [453, 6],
      [453, 454],
      [5, 454],
    ]);
  });

  it('refuses points that fall together', () => {
    assert.throws(
      () =>
        similarity(
          [
            [1, 1],
            [1, 1],
          ],
          [
            [0, 0],
            [1, 0],
          ],
        ),
      { code: 'ERR_KFD_INVALID_ARGUMENT' },
    );
    assert.throws(() => similarity([[1, 1]], [[0, 0]]), { code: 'ERR_KFD_INVALID_ARGUMENT' });
  });
});

describe('face: regions', () => {
  it('fills polygons by pixel centres, concave ones too', () => {
    assert.deepEqual(
      [
        ...rasterizePolygon(
          [
            [1, 1],
            [3, 1],
            [3, 2],
            [1, 2],
          ],
          4,
        ),
      ],
      [5, 6],
    );
    // from x 0.6 to 2.4 only the centre of column 1 lies inside
    // prettier-ignore
    const thin = rasterizePolygon([[0.6, 0], [2.4, 0], [2.4, 1], [0.6, 1]], 4);
    assert.deepEqual([...thin], [1]);
    // an L: the inner corner is left out
    const l = rasterizePolygon(
      [
        [0, 0],
        [4, 0],
        [4, 1],
        [1, 1],
        [1, 4],
        [0, 4],
      ],
      4,
    );
    assert.deepEqual([...l], [0, 1, 2, 3, 4, 8, 12]);
    const disc = Array.from({ length: 720 }, (_, i): Point => {
      const angle = (i / 360) * Math.PI;
      return [112 + 100 * Math.cos(angle), 112 + 100 * Math.sin(angle)];
    });
    close(rasterizePolygon(disc).length / (Math.PI * 100 ** 2), 1, 2e-3);
  });

  it('reports mean and share, highest mean first', () => {
    const regions = new FaceRegions({
      low: [
        [0, 0],
        [10, 0],
        [10, 10],
        [0, 10],
      ],
      high: [
        [20, 20],
        [30, 20],
        [30, 40],
        [20, 40],
      ],
    });
    const map = new Float32Array(224 * 224);
    for (let y = 20; y < 40; y += 1) for (let x = 20; x < 30; x += 1) map[y * 224 + x] = 0.5;
    map[0] = 1;
    map[224 * 224 - 1] = 4; // outside every region
    const [first, second] = regions.statistics(map);
    assert.deepEqual([first?.name, second?.name], ['high', 'low']);
    close(first?.score ?? NaN, 0.5);
    close(first?.share ?? NaN, 100 / 105, 1e-7);
    close(second?.score ?? NaN, 0.01, 1e-7);
    assert.ok(
      regions.statistics(new Float32Array(224 * 224)).every(({ score, share }) => score === 0 && share === 0),
    );
  });
});
