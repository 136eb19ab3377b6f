import type { ExplainerOptions } from '../../lib/explain/options.js';
import type { FaceDetection } from '../../lib/kfd/detection.js';
import { keepPrompts } from '../../lib/kfd/evidence.js';
import { defaultModel, readExplainerManifest, type ExplainerManifest } from '../../lib/setup/models.js';

/** KFD_TEST_EXPLAINER: the manifest of another explainer to test with than the package's own. */
const named = process.env['KFD_TEST_EXPLAINER'];
export const EXPLAINER: Pick<ExplainerOptions, 'explainer'> = named === undefined ? {} : { explainer: named };

export async function testManifest(): Promise<ExplainerManifest> {
  const manifest = named === undefined ? await defaultModel('explainer') : await readExplainerManifest(named);
  if (manifest === undefined) throw new Error('The package ships no explainer to test with.');
  return manifest;
}

export function plainFace(score = 0.91, extent: number | null = 0.34): FaceDetection {
  return {
    box: [110, 60, 200, 200],
    confidence: 0.99,
    keypoints: [],
    score,
    verdict: score >= 0.72 ? 'fake' : 'real',
    threshold: 0.72,
    regions: [],
    namedRegions: score >= 0.72 ? ['nose'] : [],
    extent,
  };
}

/** A face with soft prompts that no detector computed, different for each seed: enough for how dialogues are led. */
export function faceWithPrompts(manifest: ExplainerManifest, seed: number, score = 0.91): FaceDetection {
  const { promptTokens, width } = manifest.explainer;
  const face = plainFace(score);
  const rows = (count: number, offset: number): Float32Array =>
    Float32Array.from({ length: count * width }, (_, i) => 0.1 * Math.sin(1.7 * (i + 1) * (seed + offset)));
  const P = { shape: [1, promptTokens, width], data: rows(promptTokens, 1) };
  const V = { shape: [1, width], data: rows(1, 2) };
  keepPrompts(face, { P, V }, 0, manifest.sha256);
  return face;
}
