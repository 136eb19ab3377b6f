/** x to the right, y down, in pixels; pixel (row i, column j) covers [j, j+1) x [i, i+1). */
export type Point = readonly [number, number];

/** x, y of the upper left corner, width, height, in pixels. */
export type Box = readonly [number, number, number, number];

/** Key points in this order; "right" is the person's right, which is left in the picture. */
export const KEYPOINTS = ['rightEye', 'leftEye', 'nose', 'mouth', 'rightEar', 'leftEar'] as const;

/** A face that the detector found, in pixels of the picture. It may reach over the picture's edge. */
export interface Face {
  readonly box: Box;
  /** The detector's own probability that this is a face, 0 to 1: nothing about forgery. */
  readonly confidence: number;
  readonly keypoints: readonly Point[];
}

/** Which faces of a picture are judged: the largest, all, or the whole picture taken as one face crop. */
export type FaceSelection = 'largest' | 'all' | 'whole';
