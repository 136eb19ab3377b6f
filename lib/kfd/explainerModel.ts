import { KfdError } from '../errors.js';
import type { ModelInfo } from '../native/types.js';
import { defaultModel, readExplainerManifest, verifyModel, type ExplainerManifest } from '../setup/models.js';
import type { DetectorModel } from './detectorModel.js';

/**
 * The explainer that belongs to a detector, its file compared with the manifest.
 *
 * @param explainer a manifest or its file; undefined takes the package's own if it is for this detector; false none
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_DIGEST, ERR_KFD_MODEL_MISMATCH (one
 *   that was asked for by name is for another detector)
 */
export async function resolveExplainer(
  explainer: string | false | undefined,
  detector: DetectorModel,
): Promise<ExplainerManifest | undefined> {
  if (explainer === false) return undefined;
  const manifest =
    explainer === undefined ? await defaultModel('explainer') : await readExplainerManifest(explainer);
  if (manifest === undefined) return undefined;
  const trainedFor = manifest.explainer.detector;
  if (trainedFor.sha256 !== detector.sha256) {
    if (explainer === undefined) return undefined;
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `${manifest.manifestPath}: expected an explainer for ${detector.name} (SHA-256 ${detector.sha256}), received one ` +
        `for ${trainedFor.name} (${trainedFor.sha256}).`,
      { hint: 'Give the explainer that was trained for this detector, or leave it out.' },
    );
  }
  await verifyModel(manifest);
  return manifest;
}

/** @throws KfdError ERR_KFD_MODEL_MISMATCH when the file gives other prompts than its manifest says */
export function checkPrompts(manifest: ExplainerManifest, info: ModelInfo): void {
  const { promptTokens, width } = manifest.explainer;
  if (info.promptTokens === promptTokens && info.promptWidth === width) return;
  throw new KfdError(
    'ERR_KFD_MODEL_MISMATCH',
    `${manifest.manifestPath}: expected ${promptTokens} prompts of width ${width}, received ${info.promptTokens} of ` +
      `width ${info.promptWidth} from ${manifest.file}.`,
    {
      hint: 'Correct explainer.promptTokens and explainer.width, or give the file that belongs to the manifest.',
    },
  );
}
