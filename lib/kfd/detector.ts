import pMap from 'p-map';
import { KfdError, throwIfAborted } from '../errors.js';
import { alignFace } from '../face/alignment.js';
import type { FaceSelection } from '../face/face.js';
import { FaceFinder } from '../face/faceFinder.js';
import { decodeImage } from '../image/decode.js';
import type { ImageSource, RgbImage } from '../image/rgbImage.js';
import { Engine, type EngineModel } from '../native/engine.js';
import type { FloatArray, NamedArrays, RunResult } from '../native/types.js';
import { createDetection, type Detection } from './detection.js';
import { checkPrompts, resolveExplainer } from './explainerModel.js';
import { resolveDetectorModel, type DetectorModel } from './detectorModel.js';
import { FaceJudge, type Candidate, type Judging } from './faceJudge.js';
import {
  checkFaceSelection,
  checkOptions,
  chooseDevice,
  type DetectOptions,
  type DetectorInfo,
  type DetectorOptions,
} from './options.js';
import type { ExplainerManifest } from '../setup/models.js';
import { detectEach, type DetectAllOptions, type DetectInput } from './stream.js';

/**
 * The KFD forgery detector (arXiv 2503.14853) with everything around it: picture in, verdict with its map out. Nothing
 * heavy runs on the event loop. Any number of calls may be under way at once; they share the engine's lanes.
 */
export class Detector {
  readonly threshold: number;
  private readonly judge: FaceJudge;
  private disposed = false;

  private constructor(
    private readonly engine: Engine,
    private readonly ownsEngine: boolean,
    private readonly model: DetectorModel,
    private readonly network: EngineModel,
    private readonly finder: FaceFinder,
    private readonly explainer: ExplainerManifest | undefined,
    private readonly options: DetectorOptions,
  ) {
    this.threshold = options.threshold ?? model.threshold;
    this.judge = new FaceJudge(engine, network, model, this.threshold, explainer?.sha256);
  }

  /**
   * Checks the models against their manifests and loads them onto one engine.
   *
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_ADDON_MISSING, ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST,
   *   ERR_KFD_MODEL_DIGEST, ERR_KFD_MODEL_LOAD, ERR_KFD_MODEL_UNSUPPORTED, ERR_KFD_MODEL_MISMATCH, ERR_KFD_DEVICE
   */
  static async load(options: DetectorOptions = {}): Promise<Detector> {
    checkOptions(options);
    const model = await resolveDetectorModel(options.model, options.trust ?? false);
    const explainer = await resolveExplainer(options.explainer, model);
    const ownsEngine = options.engine === undefined;
    const engine =
      options.engine ??
      (await Engine.create({
        lanes: options.lanes ?? 'auto',
        ...(options.threadsPerLane === undefined ? {} : { threadsPerLane: options.threadsPerLane }),
      }));
    try {
      const device = chooseDevice(options.device ?? 'auto');
      const finder = await FaceFinder.load({ engine, model: options.faceModel, device });
      const prompts = explainer === undefined ? {} : { promptsPath: explainer.modelPath };
      const network = await engine.load(model.path, { ...model.native, ...prompts, device });
      if (explainer !== undefined) checkPrompts(explainer, network.info);
      return new Detector(engine, ownsEngine, model, network, finder, explainer, options);
    } catch (error) {
      if (ownsEngine) await engine.dispose();
      throw error;
    }
  }

  info(): DetectorInfo {
    const { manifest, path } = this.model;
    return {
      model: {
        ...this.judge.describeModel(),
        path,
        threshold: this.threshold,
        source: manifest?.source ?? null,
        licence: manifest?.licence ?? null,
      },
      metrics: manifest?.metrics ?? {},
      faceModel: { name: this.finder.manifest.name, sha256: this.finder.manifest.sha256 },
      explainer:
        this.explainer === undefined ? null : { name: this.explainer.name, sha256: this.explainer.sha256 },
      engine: this.network.info,
    };
  }

  /**
   * Judges the faces of one picture.
   *
   * @returns status 'ok', or 'no-face' when there is none; never 'error'
   * @throws KfdError what decodeImage throws, ERR_KFD_ABORTED, ERR_KFD_DISPOSED, ERR_KFD_QUEUE_FULL
   */
  async detect(source: ImageSource, options: DetectOptions = {}): Promise<Detection> {
    this.checkUsable();
    const { faces = 'largest', signal, pixels = false, evidence = false } = options;
    checkFaceSelection(faces);
    const path = options.path ?? (typeof source === 'string' ? source : null);
    const started = performance.now();
    throwIfAborted(signal);
    const plan = await this.judge.plan(options.flow);
    const image = await decodeImage(source, {
      ...this.options.decode,
      ...(path === null ? {} : { name: path }),
    });
    throwIfAborted(signal);
    const decoded = performance.now();
    const candidates = await this.findCandidates(image, faces, signal);
    const found = performance.now();
    const judging: Judging = { path, pixels, evidence, plan, signal };
    const judged = await pMap(candidates, (candidate) => this.judge.face(image, candidate, judging), {
      concurrency: 4, // one full batch; more would only pin the same picture again
    });
    return createDetection({
      input: { path, width: image.width, height: image.height },
      model: this.judge.describeModel(),
      faces: judged.map(({ face }) => face),
      maps: judged.map(({ map }) => map),
      flows: judged.flatMap(({ flow }) => flow ?? []),
      timing: {
        decodeMs: decoded - started,
        faceMs: found - decoded,
        forwardMs: judged.reduce((sum, { forwardMs }) => sum + forwardMs, 0),
        totalMs: performance.now() - started,
      },
      image: pixels ? image : undefined,
    });
  }

  /**
   * Judges a stream of pictures: results come in the order of the inputs, at most `concurrency` are under way, and no
   * input is read before a reader has taken the results before it. A bad input gives a detection with status 'error'.
   *
   * @throws KfdError ERR_KFD_ABORTED or ERR_KFD_DISPOSED, from the iteration
   */
  detectAll(
    inputs: Iterable<DetectInput> | AsyncIterable<DetectInput>,
    options: DetectAllOptions = {},
  ): AsyncIterableIterator<Detection> {
    this.checkUsable();
    const { concurrency = this.engine.threads.lanes + 1, ...each } = options;
    return detectEach(inputs, (source, path) => this.detect(source, { ...each, path }), {
      concurrency,
      signal: each.signal,
      model: this.judge.describeModel(),
    });
  }

  /**
   * Judges ready-made network input, skipping decoding and faces.
   *
   * @param input (B,3,224,224) float32, normalised; every image of the batch gives one entry of `faces`
   * @throws KfdError ERR_KFD_TENSOR_FORMAT for another shape
   */
  async detectTensor(input: FloatArray, options: Omit<DetectOptions, 'faces'> = {}): Promise<Detection> {
    this.checkUsable();
    this.checkTensor(input);
    const { path = null, signal, flow, pixels = false, evidence = false } = options;
    const plan = await this.judge.plan(flow);
    const started = performance.now();
    const judged = await this.judge.tensor(input, { path, pixels, evidence, plan, signal });
    const { width, height } = this.model.input;
    return createDetection({
      input: { path, width, height },
      model: this.judge.describeModel(),
      faces: judged.map(({ face }) => face),
      maps: judged.map(({ map }) => map),
      flows: judged.flatMap((each) => each.flow ?? []),
      timing: {
        decodeMs: 0,
        faceMs: 0,
        forwardMs: judged.reduce((sum, { forwardMs }) => sum + forwardMs, 0),
        totalMs: performance.now() - started,
      },
    });
  }

  /**
   * The intermediate arrays of the network by the names of the documentation: input, g, F0.., E, M0.., S, p and, where
   * the model has a prompt learner or an explainer, P; with an explainer also V. For a picture: of its first selected face.
   *
   * @throws KfdError ERR_KFD_NO_INPUT when the picture has no face, ERR_KFD_TENSOR_FORMAT, and those of `detect`
   */
  async dump(
    source: ImageSource | FloatArray,
    options: Omit<DetectOptions, 'pixels'> = {},
  ): Promise<NamedArrays> {
    this.checkUsable();
    const { faces = 'largest', signal } = options;
    checkFaceSelection(faces);
    if (typeof source === 'object' && 'shape' in source) {
      this.checkTensor(source);
      const { arrays } = await this.network.run({ tensor: source, intermediates: true }, { signal });
      return { ...arrays, input: source };
    }
    const image = await decodeImage(source, this.options.decode);
    const [candidate] = await this.findCandidates(image, faces, signal);
    if (candidate === undefined) {
      throw new KfdError('ERR_KFD_NO_INPUT', 'The image has no face, so there is nothing to dump.', {
        hint: "Take faces 'whole' to use the whole image as the face crop.",
      });
    }
    return (await this.run(image, candidate, true, signal)).arrays;
  }

  /**
   * What the encoder's class token is, after its last norm, for each selected face: rows of a memory bank.
   *
   * @returns [D] a face; none where there is no face
   * @throws KfdError those of `detect`
   */
  async features(
    source: ImageSource,
    options: Pick<DetectOptions, 'faces' | 'signal' | 'path'> = {},
  ): Promise<Float32Array[]> {
    this.checkUsable();
    const { faces = 'largest', signal, path } = options;
    checkFaceSelection(faces);
    const named = path === undefined ? {} : { name: path };
    const image = await decodeImage(source, { ...this.options.decode, ...named });
    const candidates = await this.findCandidates(image, faces, signal);
    return pMap(candidates, (candidate) => this.judge.feature(image, candidate, signal), { concurrency: 4 });
  }

  /** Drops both models and, if this detector made it, ends the engine; what is under way is cancelled. Idempotent. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.finder.dispose();
    this.network.dispose();
    if (this.ownsEngine) await this.engine.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private async findCandidates(
    image: RgbImage,
    selection: FaceSelection,
    signal: AbortSignal | undefined,
  ): Promise<Candidate[]> {
    if (selection === 'whole') {
      return [{ box: [0, 0, image.width, image.height], confidence: null, keypoints: [], crop: undefined }];
    }
    const found = await this.finder.find(image, { signal });
    const wanted = selection === 'largest' ? found.slice(0, 1) : found;
    return wanted.map((face) => ({ ...face, crop: alignFace(face.keypoints, this.model.template) }));
  }

  private run(
    image: RgbImage,
    { crop }: Candidate,
    intermediates: boolean,
    signal: AbortSignal | undefined,
  ): Promise<RunResult> {
    return this.network.run({ image, intermediates, ...(crop === undefined ? {} : { crop }) }, { signal });
  }

  private checkTensor({ shape, data }: FloatArray): void {
    const { width, height } = this.model.input;
    const [batch = 0, channels, rows, columns] = shape;
    const fits = shape.length === 4 && batch > 0 && channels === 3 && rows === height && columns === width;
    if (fits && data.length === batch * 3 * height * width) return;
    throw new KfdError(
      'ERR_KFD_TENSOR_FORMAT',
      `Expected an input of shape (B, 3, ${height}, ${width}) but received (${shape.join(', ')}).`,
      { hint: 'It is the normalised network input, channels before rows.' },
    );
  }

  private checkUsable(): void {
    if (this.disposed)
      throw new KfdError('ERR_KFD_DISPOSED', 'The detector was disposed.', { hint: 'Load a new one.' });
  }
}
