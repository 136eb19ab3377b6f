import type { FlowOptions } from '../daam/options.js';
import { KfdError } from '../errors.js';
import type { FaceSelection } from '../face/face.js';
import type { DecodeOptions } from '../image/decode.js';
import { Engine } from '../native/engine.js';
import type { ModelInfo } from '../native/types.js';
import type { DetectedModel } from './detection.js';

export interface DetectorOptions {
  /** NAME.pt or NAME.kfd.json; default: the detector that the package ships. */
  model?: string | undefined;
  /** Face detector model; default: the one that the package ships. */
  faceModel?: string | undefined;
  /** 'auto' takes the first CUDA device where there is one, otherwise the CPU. */
  device?: string | undefined;
  precision?: 'fp32' | undefined;
  /** Pictures computed at the same time; 'auto' = cores. Not with `engine`. */
  lanes?: number | 'auto' | undefined;
  /** Cores that share one picture; default 1. Not with `engine`. */
  threadsPerLane?: number | undefined;
  /** 'process' is not available yet. */
  isolation?: 'none' | undefined;
  /** Run on an engine that the caller owns and disposes of. */
  engine?: Engine | undefined;
  /** Load a model file that has no manifest. A TorchScript file is a program: only from a source you trust. */
  trust?: boolean | undefined;
  /** Call a face fake from this score on, instead of the model's own threshold. */
  threshold?: number | undefined;
  /**
   * The explainer whose prompts `evidence` computes: NAME.pt or NAME.kfd.json, false for none. Default: the package's own
   * if it was trained for this detector.
   */
  explainer?: string | false | undefined;
  /** Limits and decoder for pictures. */
  decode?: Omit<DecodeOptions, 'name'> | undefined;
}

export interface DetectOptions {
  /** Default 'largest'. 'whole' takes the picture itself as the face crop, without looking for a face. */
  faces?: FaceSelection | undefined;
  signal?: AbortSignal | undefined;
  /** Keep the decoded picture and the aligned crops in the detection, for reports. Default false. */
  pixels?: boolean | undefined;
  /**
   * Also the attention flow of each face, over the same forward pass as the verdict (docs/daam.md): in `flows`, and in
   * a few numbers in `faces[i].flow`. Default off; {} takes target 'forgery' and all rows.
   */
  flow?: Omit<FlowOptions, 'signal'> | undefined;
  /**
   * Also the soft prompts of each face for an explainer, over the same forward pass: `promptsOf(face)`. A detector without
   * an explainer has none to give. Default false.
   */
  evidence?: boolean | undefined;
  /** What to call the input in the result; default its path. */
  path?: string | undefined;
}

export interface DetectorInfo {
  model: DetectedModel & { path: string; threshold: number; source: string | null; licence: string | null };
  /** Recorded with the weights: what they were measured to be good for. */
  metrics: Readonly<Record<string, unknown>>;
  faceModel: { name: string; sha256: string };
  /** Whose prompts `evidence` computes; null: none. */
  explainer: { name: string; sha256: string } | null;
  /** What the engine made of the model. */
  engine: ModelInfo;
}

const FACE_SELECTIONS: readonly string[] = ['largest', 'all', 'whole'] satisfies FaceSelection[];

/** @throws KfdError ERR_KFD_INVALID_ARGUMENT */
export function checkFaceSelection(faces: string): void {
  if (FACE_SELECTIONS.includes(faces)) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected faces to be one of ${FACE_SELECTIONS.join(', ')} but received ${JSON.stringify(faces)}.`,
  );
}

/** Turns 'auto' into the device that is there. */
export function chooseDevice(device: string): string {
  if (device !== 'auto') return device;
  return Engine.runtimeInfo().cudaAvailable ? 'cuda:0' : 'cpu';
}

/**
 * Options that TypeScript would refuse reach us from JavaScript and from the command line.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT
 */
export function checkOptions(options: DetectorOptions): void {
  const { isolation, precision, threshold } = options as Record<string, unknown>;
  if (isolation !== undefined && isolation !== 'none') {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected isolation 'none' but received ${JSON.stringify(isolation)}.`,
      {
        hint: 'Isolation in a process of its own is not available in this version; start your own with child_process.fork.',
      },
    );
  }
  if (precision !== undefined && precision !== 'fp32') {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected precision 'fp32' but received ${JSON.stringify(precision)}.`,
      {
        hint: 'Other precisions are not available in this version.',
      },
    );
  }
  if (threshold !== undefined && !(typeof threshold === 'number' && threshold >= 0 && threshold <= 1)) {
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected a threshold from 0 to 1 but received ${JSON.stringify(threshold)}.`,
    );
  }
}
