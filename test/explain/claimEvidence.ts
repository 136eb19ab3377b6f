import { confidenceOf, type Evidence } from '../../lib/explain/evidence.js';
import { isCovered, REGION_NAMES } from '../../lib/explain/sentences/regionNames.js';

/**
 * Evidence as the detector gives it.
 *
 * @param lit further regions whose mean is 0.5 or more although the detector does not name them
 */
export function evidenceWith(
  score: number,
  namedRegions: readonly string[],
  extent: number | null,
  lit: readonly string[] = [],
  threshold = 0.72,
): Evidence {
  const regions = REGION_NAMES.map((name) => ({
    name,
    score: isCovered(name, namedRegions) ? 0.8 : lit.includes(name) ? 0.6 : 0.1,
    share: 0.1,
  }));
  const verdict = score >= threshold ? 'fake' : 'real';
  const confidence = confidenceOf(score, threshold);
  return { score, threshold, verdict, confidence, namedRegions, regions, extent };
}

/** The faces that the tests speak of. */
export const EVIDENCE = {
  /** Fake, fairly sure. */
  nose: evidenceWith(0.918, ['nose'], 0.22),
  two: evidenceWith(0.95, ['nose', 'left cheek'], 0.34),
  three: evidenceWith(0.98, ['right eye', 'nose_ridge', 'left jaw'], 0.45),
  whole: evidenceWith(0.987, ['full face'], 0.88),
  center: evidenceWith(0.93, ['center face'], 0.31),
  /** Fake, and no region stands out, though the map is above 0.5 at the right cheek. */
  abstained: evidenceWith(0.9, [], 0.12, ['right cheek']),
  real: evidenceWith(0.05, [], 0.01),
  /** Real, not very sure. */
  nearReal: evidenceWith(0.69, [], 0.04),
  /** Fake, not very sure. */
  nearFake: evidenceWith(0.75, ['left eye'], 0.1),
  /** A crop for which regions are not measured. */
  unaligned: { ...evidenceWith(0.9, [], null), regions: [] },
} as const;

export type EvidenceName = keyof typeof EVIDENCE;
