import type { Answer } from '../../lib/explain/answerDocument.js';
import { confidenceOf, type Evidence } from '../../lib/explain/evidence.js';
import type { FaceDetection } from '../../lib/kfd/detection.js';

/** Faces and answers put together by hand. */

export function madeUpFace(
  score: number,
  namedRegions: readonly string[] = [],
  extent = 0.34,
): FaceDetection {
  const threshold = 0.72;
  return {
    box: [0, 0, 224, 224],
    confidence: 0.9,
    keypoints: [],
    score,
    threshold,
    verdict: score >= threshold ? 'fake' : 'real',
    regions: ['nose', 'left eye', 'right eye', 'left cheek'].map((name) => ({
      name,
      score: namedRegions.includes(name) ? 0.8 : 0.1,
      share: 0.1,
    })),
    namedRegions,
    extent,
  };
}

export function madeUpAnswer(evidence: Evidence, texts: readonly string[], question = 'Is it fake?'): Answer {
  const { score, threshold, verdict, namedRegions, extent } = evidence;
  const text = texts.at(-1) ?? '';
  return {
    schema: 'kfd.answer/1',
    question,
    text,
    conditioning: 'prompts',
    source: 'model',
    fallback: null,
    claims: [],
    omitted: [],
    checked: true,
    rounds: texts.map((each) => ({
      text: each,
      claims: 0,
      supported: 0,
      contradicted: 0,
      omitted: [],
      tokens: { prompt: 12, generated: 21 },
      stop: 'end',
    })),
    replaced: [],
    evidence: {
      ...{ score, threshold, verdict, namedRegions, extent },
      confidence: confidenceOf(score, threshold),
    },
    tokens: { prompt: 12 * texts.length, generated: 21 * texts.length },
    timing: { firstTokenMs: 100, totalMs: 500 },
    stop: 'end',
    models: { detector: null, languageModel: null, adapter: null, prompts: null },
  };
}
