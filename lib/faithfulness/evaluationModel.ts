import pMap from 'p-map';
import type { ForwardOutputs } from '../daam/targetWeights.js';
import { KfdError } from '../errors.js';
import { alignFace } from '../face/alignment.js';
import type { Point } from '../face/face.js';
import { FaceFinder } from '../face/faceFinder.js';
import type { RgbImage } from '../image/rgbImage.js';
import { resolveDetectorModel } from '../kfd/detectorModel.js';
import { chooseDevice } from '../kfd/options.js';
import { outputOf, type Engine, type EngineModel } from '../native/engine.js';
import type { EngineFlow } from '../native/flow.js';
import type { Affine, InputSpec, ModelInfo, NamedArrays } from '../native/types.js';
import { defaultModel, readModelManifest } from '../setup/models.js';
import { loadOptionsFor } from '../vit/loadOptions.js';
import { checkFinite, type Mask, type Picture } from './plane.js';

export interface EvaluationModelOptions {
  engine: Engine;
  /** NAME.pt or NAME.kfd.json; undefined: the bundled detector. */
  model?: string | undefined;
  faceModel?: string | undefined;
  /** Load a detector that has no manifest. */
  trust?: boolean | undefined;
  device?: string | undefined;
}

/** What a forward pass of the unchanged or a changed picture says. */
export interface Judgement {
  /** m(x): a detector's probability of fake, a classifier's probability of the class in question. */
  score: number;
  /** 1 fake, 0 real; or the class with the largest logit. */
  decision: number;
}

/** Changed pictures that share one forward pass. */
const BATCH = 4;
const IMAGENET_MEAN = [0.485, 0.456, 0.406] as const;
const IMAGENET_STD = [0.229, 0.224, 0.225] as const;

function inputOf(info: ModelInfo, given: InputSpec | undefined): InputSpec {
  if (given !== undefined) return given;
  const { inputWidth: width, inputHeight: height } = info;
  return { width, height, fit: 'stretch', mean: IMAGENET_MEAN, std: IMAGENET_STD };
}

interface Parts {
  engine: Engine;
  network: EngineModel;
  input: InputSpec;
  name: string;
  sha256: string | null;
  /** Detectors only. */
  threshold: number;
  finder: FaceFinder | undefined;
  template: readonly Point[];
}

/** A detector or classifier as the evaluation needs it: views of images, scores of changed views, flows. */
export class EvaluationModel {
  private constructor(private readonly parts: Parts) {}

  /**
   * @throws KfdError those of Detector.load and VisionTransformer.load
   */
  static async load(options: EvaluationModelOptions): Promise<EvaluationModel> {
    const { model } = options;
    const manifest = model === undefined ? await defaultModel('detector') : await readModelManifest(model);
    const isDetector = manifest === undefined ? options.trust === true : manifest.kind === 'kfd';
    return isDetector
      ? EvaluationModel.loadDetector(options)
      : EvaluationModel.loadClassifier(model ?? '', options);
  }

  private static async loadDetector(options: EvaluationModelOptions): Promise<EvaluationModel> {
    const { engine, faceModel } = options;
    const device = chooseDevice(options.device ?? 'auto');
    const { path, native, input, name, sha256, threshold, template } = await resolveDetectorModel(
      options.model,
      options.trust ?? false,
    );
    const finder = await FaceFinder.load({ engine, model: faceModel, device });
    const network = await engine.load(path, { ...native, device });
    return new EvaluationModel({ engine, network, input, name, sha256, threshold, finder, template });
  }

  private static async loadClassifier(
    file: string,
    options: EvaluationModelOptions,
  ): Promise<EvaluationModel> {
    const { engine } = options;
    const device = chooseDevice(options.device ?? 'auto');
    const { modelPath, nativeOptions, manifest } = await loadOptionsFor(file, { device });
    if (nativeOptions.kind !== 'vit') {
      throw new KfdError('ERR_KFD_MODEL_MISMATCH', `${file}: expected a detector or a vision transformer.`, {
        hint: '`kfd-native model info FILE` shows what a file is.',
      });
    }
    const network = await engine.load(modelPath, nativeOptions);
    return new EvaluationModel({
      engine,
      network,
      input: inputOf(network.info, nativeOptions.input),
      name: manifest?.name ?? file.replace(/^.*\//, '').replace(/\.pt$/, ''),
      sha256: manifest?.sha256 ?? null,
      threshold: NaN,
      finder: undefined,
      template: [],
    });
  }

  get info(): ModelInfo {
    return this.parts.network.info;
  }
  get input(): InputSpec {
    return this.parts.input;
  }
  get name(): string {
    return this.parts.name;
  }
  get sha256(): string | null {
    return this.parts.sha256;
  }
  get isDetector(): boolean {
    return this.info.kind === 'kfd';
  }
  /** Detectors: fake from this score on; NaN for classifiers. */
  get threshold(): number {
    return this.parts.threshold;
  }

  /** The colour, 0 to 255, that normalisation turns into zeros. */
  get meanColour(): readonly [number, number, number] {
    const [red, green, blue] = this.parts.input.mean;
    return [red * 255, green * 255, blue * 255];
  }

  /**
   * The crop of the largest face of an image. 'whole': the whole image; 'none': there is no face.
   */
  async locate(
    image: RgbImage,
    faces: 'largest' | 'whole',
    signal: AbortSignal | undefined,
  ): Promise<Affine | 'whole' | 'none'> {
    const { finder, template } = this.parts;
    if (finder === undefined || faces === 'whole') return 'whole';
    const [face] = await finder.find(image, { signal });
    return face === undefined ? 'none' : alignFace(face.keypoints, template);
  }

  /** What the network sees of an image, before normalisation. */
  async view(image: RgbImage, crop: Affine | 'whole', signal: AbortSignal | undefined): Promise<Picture> {
    const options = { signal, ...(crop === 'whole' ? {} : { crop }) };
    const { arrays } = await this.parts.engine.preprocess(this.parts.input, image, options);
    const { shape, data } = outputOf({ arrays }, 'pixels');
    const [height = 0, width = 0] = shape;
    return { width, height, data };
  }

  /** A mask as the network's view of its image has it: warped alike, inside from 128 grey levels on. */
  async maskView(mask: RgbImage, crop: Affine | 'whole', signal: AbortSignal | undefined): Promise<Mask> {
    const { width, height, data } = await this.view(mask, crop, signal);
    return {
      width,
      height,
      data: Uint8Array.from({ length: width * height }, (_, i) => ((data[i * 3] ?? 0) > 127 ? 1 : 0)),
    };
  }

  /** Normalised network input (B,3,H,W). */
  private tensorOf(pictures: readonly Picture[]) {
    const { width, height, mean, std } = this.parts.input;
    const pixels = width * height;
    const data = new Float32Array(pictures.length * 3 * pixels);
    pictures.forEach((picture, b) => {
      for (let channel = 0; channel < 3; channel += 1) {
        const offset = (b * 3 + channel) * pixels;
        const [centre, spread] = [mean[channel] ?? 0, std[channel] ?? 1];
        for (let i = 0; i < pixels; i += 1) {
          data[offset + i] = ((picture.data[i * 3 + channel] ?? 0) / 255 - centre) / spread;
        }
      }
    });
    return { shape: [pictures.length, 3, height, width], data };
  }

  /** A flow over one view; forward() is the caller's. */
  flow(picture: Picture): EngineFlow {
    return this.parts.network.flow({ tensor: this.tensorOf([picture]) });
  }

  /** What a flow's targets are made from. */
  outputs(arrays: NamedArrays): ForwardOutputs {
    return {
      kind: this.info.kind,
      logits: this.isDetector ? undefined : outputOf({ arrays }, 'logits').data,
      feature: outputOf({ arrays }, 'feature').data,
    };
  }

  /**
   * @param index the class in question, for classifiers
   * @throws KfdError ERR_KFD_NOT_FINITE
   */
  judge(arrays: NamedArrays, row: number, index: number | undefined): Judgement {
    if (this.isDetector) {
      const score = outputOf({ arrays }, 'p').data[row * 2 + 1] ?? NaN;
      checkFinite('the forgery score', [score]);
      return { score, decision: score >= this.threshold ? 1 : 0 };
    }
    const { classes } = this.info;
    const logits = outputOf({ arrays }, 'logits').data.subarray(row * classes, (row + 1) * classes);
    checkFinite('the logits', logits);
    const decision = logits.reduce((best, logit, i) => (logit > (logits[best] ?? NaN) ? i : best), 0);
    const largest = logits[decision] ?? NaN;
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    const chosen = logits[index ?? decision] ?? NaN;
    return { score: Math.exp(chosen - largest) / sum, decision };
  }

  /** Judgements of pictures, in their order; a few share a forward pass, and all lanes work. */
  async judgeAll(
    pictures: readonly (() => Picture)[],
    index: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Judgement[]> {
    const batches = Array.from({ length: Math.ceil(pictures.length / BATCH) }, (_, i) =>
      pictures.slice(i * BATCH, (i + 1) * BATCH),
    );
    const judged = await pMap(
      batches,
      async (batch) => {
        const tensor = this.tensorOf(batch.map((make) => make()));
        const { arrays } = await this.parts.network.run({ tensor }, { signal });
        return batch.map((_, row) => this.judge(arrays, row, index));
      },
      { concurrency: this.parts.engine.threads.lanes },
    );
    return judged.flat();
  }

  dispose(): void {
    this.parts.network.dispose();
    this.parts.finder?.dispose();
  }
}
