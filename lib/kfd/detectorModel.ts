import { KfdError } from '../errors.js';
import { CROP_SIZE } from '../face/alignment.js';
import { CANONICAL_REGIONS, CANONICAL_TEMPLATE } from '../face/canonical.js';
import type { Point } from '../face/face.js';
import { DEFAULT_NAMING, type NamingRule } from '../face/namedRegions.js';
import type { RegionPolygons } from '../face/regions.js';
import { IMAGENET_INPUT } from '../native/imagenet.js';
import type { InputSpec, NativeModelOptions } from '../native/types.js';
import { digestFile } from '../setup/digest.js';
import {
  defaultModel,
  readModelManifest,
  requireModelManifest,
  verifyModel,
  type Maturity,
  type ModelManifest,
} from '../setup/models.js';

/** What the detector needs to know about a KFD model file, checked. */
export interface DetectorModel {
  path: string;
  name: string;
  sha256: string;
  maturity: Maturity | 'unknown';
  threshold: number;
  input: InputSpec;
  /** Where right eye, left eye, nose and mouth lie in the crop. */
  template: readonly Point[];
  regions: RegionPolygons;
  naming: NamingRule;
  native: NativeModelOptions;
  /** Undefined for a trusted file without a manifest. */
  manifest: ModelManifest | undefined;
}

const DEFAULT_THRESHOLD = 0.5;
const IMAGENET: InputSpec = { ...IMAGENET_INPUT, width: CROP_SIZE, height: CROP_SIZE };

function fromManifest(manifest: ModelManifest): DetectorModel {
  const { input, vit, kfd, face } = manifest;
  if (manifest.kind !== 'kfd' || vit === undefined || kfd === undefined) {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `${manifest.manifestPath}: expected kind "kfd", received "${manifest.kind}".`,
      {
        hint: 'Give a forgery detector; `kfd-native model info FILE` shows what a file is.',
      },
    );
  }
  if (input.width !== CROP_SIZE || input.height !== CROP_SIZE) {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `${manifest.manifestPath}: expected an input of ${CROP_SIZE} x ${CROP_SIZE}, received ${input.width} x ${input.height}.`,
      { hint: 'The canonical face crop has one size.' },
    );
  }
  const regions = face?.regions ?? {};
  return {
    path: manifest.modelPath,
    name: manifest.name,
    sha256: manifest.sha256,
    maturity: manifest.maturity ?? 'unknown',
    threshold: kfd.threshold,
    input,
    template: face?.template ?? CANONICAL_TEMPLATE,
    regions: Object.keys(regions).length > 0 ? regions : CANONICAL_REGIONS,
    naming: face?.naming ?? DEFAULT_NAMING,
    native: {
      kind: 'kfd',
      input,
      heads: vit.heads,
      layerNormEps: vit.layerNormEps,
      activation: vit.activation,
      prefixTokens: vit.prefixTokens,
      logitScale: kfd.logitScale,
      ...(vit.taps.length > 0 ? { taps: vit.taps } : {}),
    },
    manifest,
  };
}

/** A file that the caller vouches for: everything that a manifest would say is read from the module or usual. */
async function fromTrustedFile(file: string): Promise<DetectorModel> {
  const { sha256 } = await digestFile(file);
  return {
    path: file,
    name: file.replace(/^.*\//, '').replace(/\.pt$/, ''),
    sha256,
    maturity: 'unknown',
    threshold: DEFAULT_THRESHOLD,
    input: IMAGENET,
    template: CANONICAL_TEMPLATE,
    regions: CANONICAL_REGIONS,
    naming: DEFAULT_NAMING,
    native: { kind: 'kfd', input: IMAGENET },
    manifest: undefined,
  };
}

/**
 * Finds a detector model and compares the file with its manifest.
 *
 * @param model NAME.pt or NAME.kfd.json; undefined takes the package's own
 * @param trust load a file without a manifest; a file that contradicts its manifest is refused even so
 * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_DIGEST, ERR_KFD_MODEL_MISMATCH
 */
export async function resolveDetectorModel(
  model: string | undefined,
  trust: boolean,
): Promise<DetectorModel> {
  const manifest = model === undefined ? await defaultModel('detector') : await readModelManifest(model);
  if (manifest !== undefined) {
    const resolved = fromManifest(manifest);
    await verifyModel(manifest);
    return resolved;
  }
  if (trust && model !== undefined) return fromTrustedFile(model);
  return fromManifest(await requireModelManifest(model ?? ''));
}
