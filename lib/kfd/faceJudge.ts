import pMap from 'p-map';
import type { AttentionFlow } from '../daam/attentionFlow.js';
import { PreparedFlow, type FlowContext } from '../daam/computeFlow.js';
import { checkBankModel } from '../daam/memoryBank.js';
import { needsFullFlow, planFlow, type FlowOptions, type FlowPlan } from '../daam/options.js';
import { summariseFlow } from '../daam/summary.js';
import type { Box, Point } from '../face/face.js';
import { RegionNaming } from '../face/namedRegions.js';
import { FaceRegions } from '../face/regions.js';
import { fitAffine, imageOfBatch, pictureOfTensor } from '../image/networkView.js';
import type { RgbImage } from '../image/rgbImage.js';
import { outputOf, type Engine, type EngineModel } from '../native/engine.js';
import type { Affine, FloatArray, NamedArrays, NativeRequest } from '../native/types.js';
import { round, roundScore, type DetectedModel, type FaceDetection, type FaceMap } from './detection.js';
import type { DetectorModel } from './detectorModel.js';
import { keepPrompts } from './evidence.js';

/** A face that is to be judged; no crop: the whole picture by the model's own fit. */
export interface Candidate {
  box: Box;
  confidence: number | null;
  keypoints: readonly Point[];
  crop: Affine | undefined;
}

/** How faces are judged; the same for all of a call. */
export interface Judging {
  path: string | null;
  pixels: boolean;
  /** Keep the soft prompts of each face, where the network computes them. */
  evidence: boolean;
  /** Undefined: no attention flow. */
  plan: FlowPlan | undefined;
  signal: AbortSignal | undefined;
}

export interface Judged {
  face: FaceDetection;
  map: FaceMap;
  flow: AttentionFlow | undefined;
  forwardMs: number;
}

const requestFor = (image: RgbImage, { crop }: Candidate, prompts = false): NativeRequest => ({
  image,
  ...(crop === undefined ? {} : { crop }),
  ...(prompts ? { prompts } : {}),
});

/** Runs the detector's network on one face at a time and reads verdict, map and attention flow from what it gives. */
export class FaceJudge {
  private readonly regions: FaceRegions;
  private readonly naming: RegionNaming;

  constructor(
    private readonly engine: Engine,
    private readonly network: EngineModel,
    private readonly model: DetectorModel,
    private readonly threshold: number,
    /** Of the explainer whose prompts the network computes; undefined: none. */
    private readonly explainerSha256: string | undefined,
  ) {
    this.regions = new FaceRegions(model.regions);
    this.naming = new RegionNaming(this.regions, model.naming);
  }

  describeModel(): DetectedModel {
    const { name, sha256, maturity } = this.model;
    const { device, precision } = this.network.info;
    return { name, sha256, device, precision, maturity };
  }

  /**
   * @returns undefined when no flow was asked for
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT, ERR_KFD_MODEL_MISMATCH (a bank of another model) and those of readTarget
   */
  async plan(options: FlowOptions | undefined): Promise<FlowPlan | undefined> {
    if (options === undefined) return undefined;
    const plan = await planFlow(options, this.network.info);
    for (const target of plan.targets)
      if (target.kind === 'bank') checkBankModel(target.bank, this.model.sha256);
    return plan;
  }

  /** Judges one face of a picture. */
  async face(image: RgbImage, candidate: Candidate, judging: Judging): Promise<Judged> {
    const { path, plan, signal } = judging;
    const crop = candidate.crop ?? fitAffine(image, this.model.input);
    const picture = judging.pixels ? await this.cropPixels(image, candidate.crop, signal) : undefined;
    const request = requestFor(image, candidate, this.keepsPrompts(judging));
    const input = { path, width: image.width, height: image.height };
    const judged =
      plan === undefined
        ? await this.withoutFlow(request, candidate, signal)
        : await this.withFlow(request, candidate, plan, { ...this.context(), input, crop, picture }, signal);
    const seen = picture === undefined ? {} : { pixels: picture };
    return { ...judged, map: { ...judged.map, crop, ...seen } };
  }

  /** Judges every image of a ready-made network input: in one batch, or, for flows, each by itself. */
  async tensor(tensor: FloatArray, judging: Judging): Promise<Judged[]> {
    const { path, pixels, plan, signal } = judging;
    const prompts = this.keepsPrompts(judging);
    const { width, height } = this.model.input;
    const box: Box = [0, 0, width, height];
    const candidate: Candidate = { box, confidence: null, keypoints: [], crop: undefined };
    const images = Array.from({ length: tensor.shape[0] ?? 0 }, (_, index) => index);
    if (plan === undefined) {
      const { arrays, timing } = await this.network.run({ tensor, prompts }, { signal });
      const forwardMs = timing.forwardMs / images.length;
      return images.map((index) =>
        this.withPrompts(
          { ...this.verdict(arrays, index, candidate), flow: undefined, forwardMs },
          arrays,
          index,
        ),
      );
    }
    const judge = (index: number): Promise<Judged> => {
      const context: FlowContext = {
        ...this.context(),
        input: { path, width, height },
        crop: null,
        picture: pixels ? pictureOfTensor(tensor, index, this.model.input) : undefined,
      };
      return this.withFlow(
        { tensor: imageOfBatch(tensor, index), prompts },
        candidate,
        plan,
        context,
        signal,
      );
    };
    return pMap(images, judge, { concurrency: this.engine.threads.lanes + 1 });
  }

  /** What the encoder's class token is after its last norm: what targets and memory banks call the feature. */
  async feature(
    image: RgbImage,
    candidate: Candidate,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    using source = this.network.flow(requestFor(image, candidate), { full: false });
    return outputOf(await source.forward({ signal }), 'feature').data;
  }

  private context(): Pick<FlowContext, 'info' | 'model'> {
    return { info: this.network.info, model: this.describeModel() };
  }

  private async withoutFlow(
    request: NativeRequest,
    candidate: Candidate,
    signal: AbortSignal | undefined,
  ): Promise<Judged> {
    const { arrays, timing } = await this.network.run(request, { signal });
    const verdict = this.verdict(arrays, 0, candidate);
    return this.withPrompts({ ...verdict, flow: undefined, forwardMs: timing.forwardMs }, arrays, 0);
  }

  /** One forward pass for the verdict and for its attention flow. */
  private async withFlow(
    request: NativeRequest,
    candidate: Candidate,
    plan: FlowPlan,
    context: FlowContext,
    signal: AbortSignal | undefined,
  ): Promise<Judged> {
    using source = this.network.flow(request, { full: needsFullFlow(plan) });
    const prepared = await PreparedFlow.run(source, context, plan, signal);
    const { arrays, timing } = prepared.forward;
    const { face, map } = this.verdict(arrays, 0, candidate);
    const { score, threshold, verdict } = face;
    const flow = await prepared.compute({ score, threshold, verdict });
    const judged = { face: { ...face, flow: summariseFlow(flow) }, map, flow, forwardMs: timing.forwardMs };
    return this.withPrompts(judged, arrays, 0);
  }

  private keepsPrompts({ evidence }: Judging): boolean {
    return evidence && this.explainerSha256 !== undefined;
  }

  /** Keeps the soft prompts of image `index`, where they were asked for. */
  private withPrompts(judged: Judged, arrays: NamedArrays, index: number): Judged {
    const { P, V } = arrays;
    if (P !== undefined && V !== undefined && this.explainerSha256 !== undefined)
      keepPrompts(judged.face, { P, V }, index, this.explainerSha256);
    return judged;
  }

  private verdict(arrays: NamedArrays, index: number, candidate: Candidate): Pick<Judged, 'face' | 'map'> {
    const { data: probabilities } = outputOf({ arrays }, 'p');
    const { data, shape } = outputOf({ arrays }, 'map');
    const [height = 0, width = 0] = shape.slice(-2);
    const values = data.slice(index * width * height, (index + 1) * width * height);
    const score = probabilities[index * 2 + 1] ?? NaN;
    const verdict = score >= this.threshold ? 'fake' : 'real';
    // region polygons lie in the canonical crop; another crop has the nose elsewhere
    const isCanonical = candidate.crop !== undefined;
    const extent = isCanonical ? this.naming.extent(values) : null;
    const face: FaceDetection = {
      box: candidate.box.map((value) => round(value, 2)) as unknown as Box,
      confidence: candidate.confidence === null ? null : round(candidate.confidence, 4),
      keypoints: candidate.keypoints.map(([x, y]): Point => [round(x, 2), round(y, 2)]),
      score: roundScore(score),
      verdict,
      threshold: this.threshold,
      regions: isCanonical
        ? this.regions
            .statistics(values)
            .map((region) => ({ ...region, score: round(region.score, 4), share: round(region.share, 4) }))
        : [],
      namedRegions: isCanonical ? this.naming.names(values, verdict) : [],
      extent: extent === null ? null : round(extent, 4),
    };
    return { face, map: { width, height, values, crop: candidate.crop } };
  }

  /** The network's view of the picture as 8-bit RGB. */
  private async cropPixels(
    image: RgbImage,
    crop: Affine | undefined,
    signal: AbortSignal | undefined,
  ): Promise<RgbImage> {
    const { arrays } = await this.engine.preprocess(this.model.input, image, { crop, signal });
    const { data, shape } = outputOf({ arrays }, 'pixels');
    const [height = 0, width = 0] = shape;
    return { data: Uint8Array.from(data), width, height, format: 'raw' };
  }
}
