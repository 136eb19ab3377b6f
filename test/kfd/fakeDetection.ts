import { KfdError } from '../../lib/errors.js';
import type { RgbImage } from '../../lib/image/rgbImage.js';
import {
  createDetection,
  type Detection,
  type DetectedModel,
  type FaceMap,
} from '../../lib/kfd/detection.js';

/** Detections put together by hand, for what only prints or draws them. */

export const MODEL: DetectedModel = {
  name: 'made-up',
  sha256: 'ab'.repeat(32),
  device: 'cpu',
  precision: 'fp32',
  maturity: 'demonstration',
};

export function flatImage(width: number, height: number, grey: number): RgbImage {
  return { data: new Uint8Array(width * height * 3).fill(grey), width, height, format: 'raw' };
}

/** A map that is 1 in the upper left quarter and 0 elsewhere. */
export function quarterMap(crop: FaceMap['crop']): FaceMap {
  const values = new Float32Array(224 * 224);
  for (let y = 0; y < 112; y += 1) values.fill(1, y * 224, y * 224 + 112);
  return { width: 224, height: 224, values, crop, pixels: flatImage(224, 224, 100) };
}

export function detectedFace(path: string, score = 0.9): Detection {
  return createDetection({
    input: { path, width: 600, height: 400 },
    model: MODEL,
    faces: [
      {
        box: [110, 60, 200, 200],
        confidence: 0.99,
        keypoints: [[150, 120]],
        score,
        verdict: score >= 0.5 ? 'fake' : 'real',
        threshold: 0.5,
        regions: [{ name: 'nose', score: 0.25, share: 0.1 }],
        namedRegions: ['nose'],
        extent: 0.1,
      },
    ],
    maps: [quarterMap([1, 0, 100, 0, 1, 50])],
    image: flatImage(600, 400, 60),
    timing: { decodeMs: 1.23456, faceMs: 2, forwardMs: 3, totalMs: 7 },
  });
}

export function failedDetection(path: string): Detection {
  const error = new KfdError('ERR_KFD_IMAGE_DECODE', `${path} is damaged.`, { hint: 'Fetch it again.' });
  return createDetection({ input: { path, width: null, height: null }, model: MODEL, error });
}

export function facelessDetection(path: string): Detection {
  return createDetection({
    input: { path, width: 600, height: 400 },
    model: MODEL,
    image: flatImage(600, 400, 60),
  });
}
