/** What counts as agreement between a sentence and the numbers. docs/claims.md says why. */
export const CLAIM_TOLERANCES = {
  /** Percentage points between a stated score and the truncated or the exact percent. */
  score: 1,
  /** The same after "about", "around", "nearly". */
  aboutScore: 3,
  /** Percentage points between a stated threshold and the detector's. */
  threshold: 1,
  /** Percentage points between a stated extent, or a stated mean of a region, and the measured one. */
  extent: 5,
  /** The same after "about". */
  aboutExtent: 7,
  /** From this mean of the map on a region is lit: weak statements may name it, and it cannot be called clean. */
  litMean: 0.5,
} as const;
