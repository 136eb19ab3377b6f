import assert from 'node:assert/strict';
import { describeMaturity } from '../../lib/kfd/maturity.js';
import { describeMeasurements } from '../../lib/kfd/measurements.js';

describe('kfd: what the weights are worth', () => {
  it('puts recorded figures into sentences, with intervals and the trivial baseline', () => {
    const sentences = describeMeasurements({
      faces: 33,
      identities: 22,
      canonical: {
        kinds: { 'self-blend': { auc: 0.8123, aucInterval: [0.77, 0.8512], fakes: 132 } },
        calibration: { threshold: { realsLeftAlone: 0.91, wholeFaceFound: 0.6 } },
        localisation: {
          'self-blend': { iou: 0.59, constantIou: 0.5, gain: 0.09, gainInterval: [0.05, 0.13] },
          real: { litShare: 0.1 },
        },
        regions: { parts: { right: 0.2, majority: 0.6 } },
      },
    });
    assert.deepEqual(sentences, [
      'measured on 33 photographs of 22 people it was not trained on (95 % intervals by person)',
      'self-blend: AUC 0.81 [0.77, 0.85], 132 fakes',
      'at the threshold 91 % of real faces are called real and 60 % of whole-face forgeries fake',
      'map on self-blend: IoU 0.59, a constant mask reaches 0.50 (difference 0.09 [0.05, 0.13])',
      'region named on parts: right in 0.20, always naming the most frequent: 0.60',
    ]);
  });

  it('says nothing where nothing is recorded, whatever else is there', () => {
    for (const metrics of [
      {},
      { canonical: 7 },
      { canonical: { kinds: { a: null } }, faces: 3, identities: 2 },
    ]) {
      assert.deepEqual(describeMeasurements(metrics), []);
    }
  });

  it('has a sentence for every maturity', () => {
    assert.match(describeMaturity('demonstration'), /never tested on real deepfakes/);
    assert.match(describeMaturity('unknown'), /no manifest/);
  });
});
