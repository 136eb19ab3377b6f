import { KfdError } from '../errors.js';
import type { RegionStatistics } from '../face/regions.js';
import type { FaceDetection } from '../kfd/detection.js';

/** How far the score lies from the threshold, in the words that answers use. */
export type Confidence = 'very' | 'fairly' | 'not very';

/** What a claim about a face is compared with: the detector's numbers and nothing else. */
export interface Evidence {
  /** Probability that the face is forged, 0 to 1. */
  readonly score: number;
  /** The verdict is 'fake' from this score on. */
  readonly threshold: number;
  readonly verdict: 'fake' | 'real';
  readonly confidence: Confidence;
  /** The regions that the detector names, strongest first; empty: none stands out. */
  readonly namedRegions: readonly string[];
  /** All regions with the map's mean and share; empty where the crop is not canonical. */
  readonly regions: readonly RegionStatistics[];
  /** Share of the face's pixels whose map value is at least 0.5, 0 to 1; null where the crop is not canonical. */
  readonly extent: number | null;
}

/** The numbers as sentences give them, whole percent. */
export interface EvidencePercent {
  /** Truncated, as KFD's prompt does (spec/kfd.md section 10): 0.987 is 98. */
  score: number;
  threshold: number;
  extent: number | null;
}

const VERY = 2 / 3;
const FAIRLY = 1 / 3;
/** 0.29 * 100 is 28.999999999999996. */
const ROUNDING_ERROR = 1e-6;

/** The distance to the threshold as a share of what is possible on the verdict's side, 0 to 1. */
function margin(score: number, threshold: number): number {
  const [distance, room] =
    score >= threshold ? [score - threshold, 1 - threshold] : [threshold - score, threshold];
  return room > 0 ? distance / room : 0;
}

/** The confidence word: from the score and the threshold, never from a language model. */
export function confidenceOf(score: number, threshold: number): Confidence {
  const share = margin(score, threshold);
  if (share >= VERY) return 'very';
  return share >= FAIRLY ? 'fairly' : 'not very';
}

/**
 * The evidence of one face of a `kfd.detection/1`, also of one read back from JSON.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT for a score or threshold outside 0 to 1
 */
export function evidenceOfFace(face: FaceDetection): Evidence {
  const { score, threshold, verdict, namedRegions, regions, extent } = face;
  for (const [name, value] of Object.entries({ score, threshold })) {
    if (value >= 0 && value <= 1) continue;
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `face.${name}: expected a number from 0 to 1, received ${String(value)}`,
      { hint: 'Give one of the `faces` of a detection.' },
    );
  }
  const confidence = confidenceOf(score, threshold);
  return { score, threshold, verdict, confidence, namedRegions, regions, extent };
}

export function percentOf({ score, threshold, extent }: Evidence): EvidencePercent {
  return {
    score: Math.floor(100 * score + ROUNDING_ERROR),
    threshold: Math.round(100 * threshold),
    extent: extent === null ? null : Math.round(100 * extent),
  };
}
