import type { Argv } from 'yargs';
import type { AttentionFlow } from '../daam/attentionFlow.js';
import type { FlowOptions } from '../daam/options.js';
import { KfdError } from '../errors.js';
import type { FaceSelection } from '../face/face.js';
import type { ImageSource } from '../image/rgbImage.js';
import type { Engine } from '../native/engine.js';
import { IMAGENET_INPUT } from '../native/imagenet.js';
import type { FloatArray, ModelInfo } from '../native/types.js';
import { readModelManifest } from '../setup/models.js';
import { addMachineOptions, createEngine } from './machineOptions.js';
import { writeMessage } from './output.js';

/** What `daam` and `daam-bank` need of a model, detector or plain vision transformer. */
export interface FlowModel {
  info: ModelInfo;
  /** Name and SHA-256 of the model file. */
  identity: { name: string; sha256: string };
  /** Images computed side by side. */
  lanes: number;
  /** One flow an image, or one a face; none where there is no face. */
  flows(source: ImageSource, options: FlowCall): Promise<readonly AttentionFlow[]>;
  /** One flow an image of the batch. */
  tensorFlows(tensor: FloatArray, options: FlowCall): Promise<readonly AttentionFlow[]>;
  /** What the head reads: [D] for an image, or for each face. */
  features(source: ImageSource, path: string, signal: AbortSignal): Promise<readonly Float32Array[]>;
  dispose(): Promise<void>;
}

export interface FlowCall extends Omit<FlowOptions, 'target'> {
  path: string;
  pixels: boolean;
}

export interface FlowModelArguments {
  /** NAME.pt, NAME.kfd.json, or `default`. */
  model: string;
  trustModel: boolean;
  device: string;
  lanes: string | undefined;
  threadsPerLane: number | undefined;
  /** Of a detector. */
  faces: FaceSelection;
  /** Of a vision transformer without a manifest; default 224 x 224. */
  inputSize?: { width: number; height: number } | undefined;
}

export const DEFAULT_MODEL = 'default';

/** The options of {@link FlowModelArguments} but for --model, which every command describes itself. */
export function addFlowModelOptions<T>(cli: Argv<T>) {
  return addMachineOptions(
    cli
      .option('faces', {
        choices: ['largest', 'all', 'whole'] as const,
        default: 'largest' as const,
        describe: 'Detectors only: which faces; whole = the image is the face crop',
      })
      .option('trust-model', {
        type: 'boolean',
        default: false,
        describe: 'Load --model without a manifest and without a note (it is a program)',
      }),
  );
}

async function openDetector(args: FlowModelArguments, engine: Engine): Promise<FlowModel> {
  const { Detector } = await import('../kfd/detector.js');
  const detector = await Detector.load({
    model: args.model === DEFAULT_MODEL ? undefined : args.model,
    trust: args.trustModel,
    device: args.device,
    engine,
  });
  const { model, engine: info } = detector.info();
  const { faces } = args;
  return {
    info,
    identity: { name: model.name, sha256: model.sha256 },
    lanes: engine.threads.lanes,
    flows: async (source, { path, pixels, signal, ...flow }) =>
      (await detector.detect(source, { faces, path, pixels, signal, flow })).flows,
    tensorFlows: async (tensor, { path, pixels, signal, ...flow }) =>
      (await detector.detectTensor(tensor, { path, pixels, signal, flow })).flows,
    features: (source, path, signal) => detector.features(source, { faces, path, signal }),
    dispose: () => detector.dispose(),
  };
}

async function openVit(args: FlowModelArguments, engine: Engine): Promise<FlowModel> {
  const { inputSize } = args;
  const [{ VisionTransformer }, { chooseDevice }] = await Promise.all([
    import('../vit/visionTransformer.js'),
    import('../kfd/options.js'),
  ]);
  const vit = await VisionTransformer.load(args.model, {
    device: chooseDevice(args.device),
    engine,
    ...(inputSize === undefined ? {} : { input: { ...IMAGENET_INPUT, ...inputSize } }),
  });
  return {
    info: vit.info(),
    identity: { name: vit.name, sha256: await vit.sha256() },
    lanes: engine.threads.lanes,
    flows: async (source, options) => [await vit.daam(source, options)],
    tensorFlows: (tensor, options) => vit.daamTensor(tensor, options),
    features: async (source, path, signal) => [await vit.feature(source, { path, signal })],
    dispose: () => vit.dispose(),
  };
}

async function inspectModel({
  model,
  trustModel,
}: FlowModelArguments): Promise<{ kind: 'vit' | 'kfd'; hasManifest: boolean }> {
  if (model === DEFAULT_MODEL) return { kind: 'kfd', hasManifest: true };
  const manifest = await readModelManifest(model);
  if (manifest === undefined && !trustModel) {
    writeMessage(
      `note: ${model} has no manifest, so nothing says whether it is the file you mean; it is taken for a plain vision ` +
        'transformer. A model file is a program: load only what you trust (--trust-model hides this note).',
    );
  }
  if (manifest?.kind !== 'face')
    return { kind: manifest?.kind ?? 'vit', hasManifest: manifest !== undefined };
  throw new KfdError('ERR_KFD_MODEL_MISMATCH', `${model} is a face detector, which has no tokens.`, {
    hint: 'Give a forgery detector or a vision transformer; `kfd-native model info FILE` shows what a file is.',
  });
}

/**
 * Loads a model by what its manifest says it is. Without a manifest it is taken for a plain vision transformer, with a
 * note unless it is trusted.
 *
 * @throws KfdError ERR_KFD_MODEL_MISMATCH for a face detector, and those of Detector.load and VisionTransformer.load
 */
export async function openFlowModel(args: FlowModelArguments): Promise<FlowModel> {
  const { kind, hasManifest } = await inspectModel(args);
  const engine = await createEngine(args);
  try {
    const model = await (kind === 'kfd'
      ? openDetector(args, engine)
      : openVit(hasManifest ? { ...args, inputSize: undefined } : args, engine));
    const dispose = async (): Promise<void> => {
      await model.dispose();
      await engine.dispose();
    };
    return { ...model, dispose };
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}
