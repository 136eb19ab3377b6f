import type { Box, Face, Point } from './face.js';

/** Intersection over union of two boxes, 0 to 1. */
export function intersectionOverUnion(a: Box, b: Box): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  const intersection = Math.max(0, width) * Math.max(0, height);
  return intersection / (a[2] * a[3] + b[2] * b[3] - intersection);
}

/** Mean box and key points of a cluster, weighted by confidence. */
function weightedMean(cluster: readonly Face[], confidence: number): Face {
  const total = cluster.reduce((sum, face) => sum + face.confidence, 0);
  const mean = (value: (face: Face) => number) =>
    cluster.reduce((sum, face) => sum + (face.confidence / total) * value(face), 0);
  const keypointCount = cluster[0]?.keypoints.length ?? 0;
  return {
    box: [mean((f) => f.box[0]), mean((f) => f.box[1]), mean((f) => f.box[2]), mean((f) => f.box[3])],
    confidence,
    keypoints: Array.from({ length: keypointCount }, (_, index): Point => [
      mean((face) => face.keypoints[index]?.[0] ?? 0),
      mean((face) => face.keypoints[index]?.[1] ?? 0),
    ]),
  };
}

/**
 * Weighted non-maximum suppression, as BlazeFace was published with: the most confident candidate gathers all that
 * overlap it by more than `threshold`, and the face is their weighted mean with the highest confidence.
 *
 * @returns faces by falling confidence
 */
export function suppressOverlaps(candidates: readonly Face[], threshold: number): Face[] {
  let remaining = candidates.toSorted((a, b) => b.confidence - a.confidence); // stable: ties keep their order
  const faces: Face[] = [];
  for (;;) {
    const best = remaining[0];
    if (best === undefined) return faces;
    const joins = (face: Face) => face === best || intersectionOverUnion(best.box, face.box) > threshold;
    faces.push(weightedMean(remaining.filter(joins), best.confidence));
    remaining = remaining.filter((face) => !joins(face));
  }
}

/** Faces by falling confidence without those that overlap a more confident one. */
export function dropTwins(faces: readonly Face[], threshold: number): Face[] {
  const kept: Face[] = [];
  for (const face of faces.toSorted((a, b) => b.confidence - a.confidence)) {
    if (kept.every((other) => intersectionOverUnion(face.box, other.box) <= threshold)) kept.push(face);
  }
  return kept;
}
