import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { alignFace, invertAffine } from '../../lib/face/alignment.js';
import { decodeCandidates, wholeSquare } from '../../lib/face/blazeFace.js';
import type { Face, Point } from '../../lib/face/face.js';
import { FaceFinder } from '../../lib/face/faceFinder.js';
import { suppressOverlaps } from '../../lib/face/suppression.js';
import { decodeImage } from '../../lib/image/decode.js';
import { packageRoot } from '../../lib/native/config.js';
import { Engine } from '../../lib/native/engine.js';

/** Written by test/face/write_reference.py with the Python reference. */
interface Reference {
  template: Point[];
  photographs: {
    photograph: string;
    size: [number, number];
    rows: { index: number; score: number; values: number[] }[];
    candidates: Face[];
    faces: Face[];
    toCrop: number[][];
  }[];
}

const root = packageRoot();
const photo = (name: string) => path.join(root, 'test/fixtures/photos', name);

function assertSameFaces(
  actual: readonly Face[],
  expected: readonly Face[],
  pixels: number,
  confidence: number,
): void {
  assert.equal(actual.length, expected.length);
  expected.forEach((face, index) => {
    const found = actual[index];
    assert.ok(found);
    const pairs: [number | undefined, number | undefined][] = [
      ...face.box.map((value, i): [number, number | undefined] => [value, found.box[i]]),
      ...face.keypoints.flatMap(([x, y], i): [number, number | undefined][] => [
        [x, found.keypoints[i]?.[0]],
        [y, found.keypoints[i]?.[1]],
      ]),
    ];
    const worst = Math.max(...pairs.map(([a, b]) => Math.abs((a ?? NaN) - (b ?? NaN))));
    assert.ok(worst <= pixels, `a position is off by ${worst} pixels`);
    assert.ok(Math.abs(face.confidence - found.confidence) <= confidence);
  });
}

describe('face: BlazeFace against the Python reference', () => {
  let reference: Reference;
  before(async () => {
    reference = JSON.parse(
      await readFile(path.join(root, 'test/face/blazeface-reference.json'), 'utf8'),
    ) as Reference;
  });

  it('decodes and suppresses the same raw rows to the same faces', () => {
    for (const { size, rows, candidates } of reference.photographs) {
      const scores = new Float32Array(896).fill(-50);
      const boxes = new Float32Array(896 * 16);
      for (const { index, score, values } of rows) {
        scores[index] = score;
        boxes.set(values, index * 16);
      }
      const decoded = decodeCandidates(scores, boxes, wholeSquare(...size), 0.3);
      assert.ok(decoded.length > candidates.length, 'there is something to suppress');
      assertSameFaces(suppressOverlaps(decoded, 0.3), candidates, 1e-4, 1e-6);
    }
  });

  it('aligns the same key points to the same crop', () => {
    for (const { faces, toCrop } of reference.photographs) {
      const crop = alignFace(faces[0]?.keypoints ?? [], reference.template);
      invertAffine(crop).forEach((value, index) => {
        assert.ok(Math.abs(value - (toCrop.flat()[index] ?? NaN)) < 1e-4);
      });
    }
  });

  describe('on the engine', () => {
    let engine: Engine;
    let finder: FaceFinder;
    before(async () => {
      engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
      finder = await FaceFinder.load({ engine });
    });
    after(() => engine.dispose());

    it('finds the same faces in photographs, to about a hundredth of their size', async () => {
      // the engine resamples a square in one warp, Python by resizing and pasting: the network sees slightly other pixels
      for (const { photograph, faces } of reference.photographs) {
        const found = await finder.find(await decodeImage(photo(photograph)));
        assertSameFaces(found, faces, 1.2, 0.03);
      }
    });

    it('finds nothing in a picture without a face', async () => {
      const data = Uint8Array.from({ length: 300 * 200 * 3 }, (_, index) => (index * 7919) % 256);
      assert.deepEqual(await finder.find({ data, width: 300, height: 200, format: 'raw' }), []);
    });

    it('finds a small face, two faces, and a face that the edge cuts', async () => {
      const { data, width } = await decodeImage(photo('astronaut.jpg'));
      // 1600 x 900 canvas with the photograph twice: one whole, one cut through the face's lower edge
      const canvas = new Uint8Array(1600 * 900 * 3).fill(90);
      for (let row = 0; row < 512; row += 1) {
        canvas.set(data.subarray(row * width * 3, (row + 1) * width * 3), ((row + 30) * 1600 + 40) * 3);
        if (row < 160)
          canvas.set(data.subarray(row * width * 3, (row + 1) * width * 3), ((row + 740) * 1600 + 900) * 3);
      }
      const faces = await finder.find({ data: canvas, width: 1600, height: 900, format: 'raw' });
      assert.equal(faces.length, 2);
      const [first, second] = faces.map(({ box }) => box).sort((a, b) => a[0] - b[0]);
      assert.ok(first && Math.abs(first[0] - (171 + 40)) < 6 && Math.abs(first[1] - (75 + 30)) < 6);
      assert.ok(second && Math.abs(second[0] - (171 + 900)) < 15);
      const [largest, smaller] = faces;
      assert.ok(largest && smaller && largest.box[2] * largest.box[3] >= smaller.box[2] * smaller.box[3]);
    });

    it('refuses a manifest of another kind', async () => {
      await assert.rejects(FaceFinder.load({ engine, model: path.join(root, 'weights/none.pt') }), {
        code: 'ERR_KFD_MODEL_NOT_FOUND',
      });
    });
  });
});
