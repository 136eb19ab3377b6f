import type { DetectedModel } from './detection.js';

const SENTENCES: Readonly<Record<DetectedModel['maturity'], string>> = {
  demonstration:
    'Demonstration weights: they show that the chain works and were never tested on real deepfakes. ' +
    'Do not base a decision about a picture or a person on them.',
  research:
    'Research weights: measured on test sets, not validated for decisions. Judge a verdict together with its map and the model card.',
  recommended: 'Recommended weights: see the model card for what they were validated on and where they fail.',
  unknown:
    'Unknown weights: the model file has no manifest, so nothing is known about what its scores are worth.',
};

/** What the weights are good for, in plain words; shown once with every output for people. */
export function describeMaturity(maturity: DetectedModel['maturity']): string {
  return SENTENCES[maturity];
}
