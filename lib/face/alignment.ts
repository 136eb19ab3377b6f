import { KfdError } from '../errors.js';
import type { Affine } from '../native/types.js';
import type { Point } from './face.js';

/**
 * The canonical face crop: the picture under a similarity (turn, scale, shift, no reflection) that lays four key points
 * onto a fixed template. python/kfd_export/align.py does the same; the network has seen nothing else.
 */

/** Side of the canonical crop in pixels. */
export const CROP_SIZE = 224;

function centroid(points: readonly Point[]): Point {
  const sum = points.reduce<[number, number]>((total, [x, y]) => [total[0] + x, total[1] + y], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/**
 * Least-squares similarity that maps `from` onto `to` (Umeyama 1991, in the plane and without reflection). With points
 * as complex numbers about their centroids it is w = a z with a = sum(conj(z) w) / sum(|z|^2).
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT when all points of `from` coincide, or the result would be degenerate
 */
export function similarity(from: readonly Point[], to: readonly Point[]): Affine {
  if (from.length !== to.length || from.length < 2) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected two lists of at least two points each but received ${from.length} and ${to.length}.`,
    );
  }
  const [fromX, fromY] = centroid(from);
  const [toX, toY] = centroid(to);
  let real = 0;
  let imaginary = 0;
  let spread = 0;
  from.forEach(([x, y], index) => {
    const [u, v] = to[index] ?? [0, 0];
    const [zx, zy, wx, wy] = [x - fromX, y - fromY, u - toX, v - toY];
    real += zx * wx + zy * wy;
    imaginary += zx * wy - zy * wx;
    spread += zx * zx + zy * zy;
  });
  const [a, b] = [real / spread, imaginary / spread];
  if (!(a * a + b * b > 0) || !Number.isFinite(a * a + b * b)) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      'Expected key points that differ, but they fall together.',
      {
        hint: 'The face is too small or not a face.',
      },
    );
  }
  return [a, -b, toX - a * fromX + b * fromY, b, a, toY - b * fromX - a * fromY];
}

/** The inverse mapping. */
export function invertAffine([a, b, c, d, e, f]: Affine): Affine {
  const determinant = a * e - b * d;
  return [
    e / determinant,
    -b / determinant,
    (b * f - c * e) / determinant,
    -d / determinant,
    a / determinant,
    (c * d - a * f) / determinant,
  ];
}

export function applyAffine([a, b, c, d, e, f]: Affine, [x, y]: Point): Point {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** The four corners of the canonical crop in picture pixels, clockwise from the crop's upper left. */
export function cropCorners(crop: Affine, size: number = CROP_SIZE): Point[] {
  const corners: Point[] = [
    [0, 0],
    [size, 0],
    [size, size],
    [0, size],
  ];
  return corners.map((corner) => applyAffine(crop, corner));
}

/**
 * The warp of one face for the engine: crop pixels to picture pixels.
 *
 * @param keypoints right eye, left eye, nose, mouth (further points are ignored), picture pixels
 * @param template where these four lie in the canonical crop
 */
export function alignFace(keypoints: readonly Point[], template: readonly Point[]): Affine {
  return invertAffine(similarity(keypoints.slice(0, template.length), template));
}
