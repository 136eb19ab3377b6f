import { createDetection, type Detection } from '../../lib/kfd/detection.js';
import { MODEL } from '../kfd/fakeDetection.js';
import { plainFace } from '../explain/realExplainer.js';

/** A saved detection with two faces, the second real, as `detect --faces all --json` prints it. */
export function savedDetection(name = 'photo.jpg'): Detection {
  const regions = [
    { name: 'nose', score: 0.81, share: 0.2 },
    { name: 'left cheek', score: 0.12, share: 0.1 },
  ];
  return createDetection({
    input: { path: name, width: 640, height: 480 },
    model: MODEL,
    faces: [
      { ...plainFace(0.918, 0.22), regions },
      { ...plainFace(0.31, 0.01), regions: [] },
    ],
  });
}
