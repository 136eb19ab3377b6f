import path from 'node:path';
import type { NativeModelOptions } from '../native/types.js';
import { readModelManifest, verifyModel, type ModelManifest } from '../setup/models.js';

export interface ModelSource {
  modelPath: string;
  nativeOptions: NativeModelOptions;
  manifest: ModelManifest | undefined;
}

type ManifestVit = NonNullable<ModelManifest['vit']>;

/** A scripted file carries these itself, so a manifest without a `vit` part is fine. */
function vitOptions(vit: ManifestVit | undefined): Partial<NativeModelOptions> {
  if (vit === undefined) return {};
  const { heads, layerNormEps, activation, prefixTokens } = vit;
  return { heads, layerNormEps, activation, prefixTokens };
}

function manifestOptions({ kind, input, vit, kfd }: ModelManifest): NativeModelOptions {
  if (kind === 'face') return { kind: 'module', input };
  if (kind === 'vit') return { kind, input, ...vitOptions(vit) };
  return {
    kind,
    input,
    ...vitOptions(vit),
    ...(vit === undefined ? {} : { taps: vit.taps }),
    ...(kfd === undefined ? {} : { logitScale: kfd.logitScale }),
  };
}

/**
 * How to load a model file: the manifest beside it, if there is one, overridden by `given`. A file with a manifest is
 * checked against its SHA-256 first.
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_DIGEST
 */
export async function loadOptionsFor(
  file: string,
  given: Partial<NativeModelOptions> = {},
): Promise<ModelSource> {
  const manifest = await readModelManifest(file);
  if (manifest !== undefined) await verifyModel(manifest);
  const base: NativeModelOptions = manifest === undefined ? { kind: 'vit' } : manifestOptions(manifest);
  return {
    modelPath: manifest?.modelPath ?? path.resolve(file),
    nativeOptions: { ...base, ...given },
    manifest,
  };
}
