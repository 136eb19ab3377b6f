import type { AttentionFlow } from '../daam/attentionFlow.js';
import type { FlowSummary } from '../daam/summary.js';
import type { KfdError } from '../errors.js';
import type { Box, Point } from '../face/face.js';
import type { RegionStatistics } from '../face/regions.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { Affine } from '../native/types.js';
import type { Maturity } from '../setup/models.js';

/** The verdict on one face. All positions in pixels of the upright picture. */
export interface FaceDetection {
  /** x, y, width, height; it may reach over the picture's edge. */
  box: Box;
  /** The face detector's probability that this is a face; null where no face detector ran. */
  confidence: number | null;
  /** Right eye, left eye, nose, mouth, right ear, left ear; empty where no face detector ran. */
  keypoints: readonly Point[];
  /** Probability that the face is forged, 0 to 1. */
  score: number;
  verdict: 'fake' | 'real';
  /** The verdict is 'fake' from this score on. */
  threshold: number;
  /** The map's mean and share in each named region, highest mean first; empty where the crop is not canonical. */
  regions: readonly RegionStatistics[];
  /**
   * The regions that stand out, strongest first: at most three parts, or the face's center or the whole face alone. Empty
   * where none does, where the verdict is real and where the crop is not canonical. The rule: docs/regions.md.
   */
  namedRegions: readonly string[];
  /** Share of the face's pixels whose map value is at least 0.5, 0 to 1; null where the crop is not canonical. */
  extent: number | null;
  /** With the option `flow` only, one a target: when the decision forms, and the exact split. The maps: `flows`. */
  flow?: readonly FlowSummary[];
}

/** The localisation map of one face: the probability of forgery at every pixel of the network's input. */
export interface FaceMap {
  readonly width: number;
  readonly height: number;
  /** Row-major, 0 to 1. */
  readonly values: Float32Array;
  /** Row-major 2x3: maps map pixels to picture pixels. Undefined for ready-made tensors, which come from no picture. */
  readonly crop: Affine | undefined;
  /** What the network saw, before normalisation; with the option `pixels` only. */
  readonly pixels?: RgbImage;
}

export interface DetectedModel {
  name: string;
  sha256: string;
  device: string;
  precision: string;
  /** What the weights are good for; "unknown" for a model without a manifest. */
  maturity: Maturity | 'unknown';
}

/**
 * The result for one input, schema `kfd.detection/1`: JSON.stringify gives exactly the documented object. `maps`, `flows`
 * and `image` are there for reports and later questions but are not part of the JSON.
 */
export interface Detection {
  schema: 'kfd.detection/1';
  /** Size of the upright picture; null where it could not be read, `path` null for bytes and pixels. */
  input: { path: string | null; width: number | null; height: number | null };
  model: DetectedModel;
  /** A picture without a face is 'no-face' and has no score. */
  status: 'ok' | 'no-face' | 'error';
  error: ReturnType<KfdError['toJSON']> | null;
  faces: readonly FaceDetection[];
  timing: Timing;
  /** Not enumerable: one map a face, in the order of `faces`. */
  readonly maps: readonly FaceMap[];
  /** Not enumerable: with the option `flow` one attention flow a face, in the order of `faces`; else empty. */
  readonly flows: readonly AttentionFlow[];
  /** Not enumerable: the decoded picture, with the option `pixels` only. */
  readonly image: RgbImage | undefined;
}

/** Milliseconds. forwardMs is the wall time of the network, the sum over the faces. */
export interface Timing {
  decodeMs: number;
  faceMs: number;
  forwardMs: number;
  totalMs: number;
}

/** Keeps `digits` decimals. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Nine significant digits: enough to get the same float32 back. */
export function roundScore(value: number): number {
  return Number(value.toPrecision(9));
}

const NO_TIME: Timing = { decodeMs: 0, faceMs: 0, forwardMs: 0, totalMs: 0 };

export interface DetectionParts {
  input: Detection['input'];
  model: DetectedModel;
  faces?: readonly FaceDetection[];
  error?: KfdError;
  timing?: Timing;
  maps?: readonly FaceMap[];
  flows?: readonly AttentionFlow[];
  image?: RgbImage | undefined;
}

/** Puts a detection together; the status follows from what is there. */
export function createDetection(parts: DetectionParts): Detection {
  const { input, model, faces = [], error, timing = NO_TIME, maps = [], flows = [], image } = parts;
  const visible = {
    schema: 'kfd.detection/1' as const,
    input,
    model,
    status:
      error !== undefined ? ('error' as const) : faces.length > 0 ? ('ok' as const) : ('no-face' as const),
    error: error?.toJSON() ?? null,
    faces,
    timing: {
      decodeMs: round(timing.decodeMs, 2),
      faceMs: round(timing.faceMs, 2),
      forwardMs: round(timing.forwardMs, 2),
      totalMs: round(timing.totalMs, 2),
    },
  };
  return Object.defineProperties(visible, {
    maps: { value: maps, enumerable: false },
    flows: { value: flows, enumerable: false },
    image: { value: image, enumerable: false },
  }) as Detection;
}
