import pMap, { pMapIterable } from 'p-map';
import type { FlowTarget } from '../daam/target.js';
import { resolveTarget } from '../daam/targetWeights.js';
import { KfdError, throwIfAborted, toKfdError, type ErrorCode } from '../errors.js';
import { decodeImage } from '../image/decode.js';
import type { RgbImage } from '../image/rgbImage.js';
import { outputOf } from '../native/engine.js';
import type { Affine, NamedArrays } from '../native/types.js';
import { MaskPrior, randomMap } from './controls.js';
import { perturb, sharedPictures, type PerturbationContext } from './curves.js';
import type { EvaluationModel } from './evaluationModel.js';
import { readFlowMaps, type MethodMaps } from './flowMaps.js';
import type { EvaluationImage } from './imageFolder.js';
import { emptyRow, type BlockFigures, type ImageRow } from './imageRow.js';
import { localisation, massInside, maskShare, pixelAuroc } from './localisation.js';
import { METHODS, whyNot, type Method } from './methods.js';
import type { MetricGroup } from './metrics.js';
import { enlarge, type Mask, type Picture, type Plane } from './plane.js';

export interface EvaluationOptions {
  target: FlowTarget;
  /** Undefined: every method that has a meaning for this model and target. */
  methods: readonly Method[] | undefined;
  metrics: readonly MetricGroup[];
  /** Detectors: align the largest face, or take the whole image as the crop. */
  faces: 'largest' | 'whole';
  /** Steps of the perturbation curves. */
  steps: number;
  seed: number;
  /** Images under way at once. */
  concurrency: number;
  signal: AbortSignal | undefined;
}

/** An image whose place in the picture and whose mask are known. */
interface LocatedImage extends EvaluationImage {
  crop: Affine | 'whole' | 'none';
  maskView: Mask | undefined;
  failure: KfdError | undefined;
}

type PixelSize = Pick<RgbImage, 'width' | 'height'>;

/** What is the fault of one image; anything else would come again with the next one and ends the evaluation. */
const IMAGE_ERRORS: readonly ErrorCode[] = [
  'ERR_KFD_FILE_NOT_FOUND',
  'ERR_KFD_FILE_READ',
  'ERR_KFD_IMAGE_DECODE',
  'ERR_KFD_IMAGE_TOO_LARGE',
];

function failureOf(
  error: unknown,
  signal: AbortSignal | undefined,
  alsoOfImage: readonly ErrorCode[],
): KfdError {
  throwIfAborted(signal);
  const failure = toKfdError(error);
  if (IMAGE_ERRORS.includes(failure.code) || alsoOfImage.includes(failure.code)) return failure;
  throw failure;
}

/** @throws KfdError ERR_KFD_INVALID_ARGUMENT */
export function checkMaskSize(image: PixelSize, mask: PixelSize, names: EvaluationImage): void {
  if (image.width === mask.width && image.height === mask.height) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `${names.mask ?? ''}: expected a mask of ${image.width} x ${image.height} pixels, the size of its image ` +
      `(upright), but it has ${mask.width} x ${mask.height}.`,
    { hint: 'Save the mask at the size of the image.' },
  );
}

/** Needs a target of which there is a score: a class's probability, or a detector's. */
export function checkTarget(target: FlowTarget, isDetector: boolean, metrics: readonly MetricGroup[]): void {
  const scored = isDetector || !['feature', 'cosine', 'bank'].includes(target.kind);
  if (scored || metrics.every((group) => group === 'localisation')) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Target ${target.kind} is no class, so there is no probability to follow while pixels change.`,
    { hint: 'Take max or logit:K, or --metrics localisation.' },
  );
}

/**
 * The methods to compare: the given ones if they all have a meaning, else all that have.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT
 */
export function chooseMethods(
  model: EvaluationModel,
  target: FlowTarget,
  given: readonly Method[] | undefined,
  hasMasks: boolean,
): Method[] {
  const { info } = model;
  const pooled = ['average-pool', 'no-class-token'].some((feature) => info.features.includes(feature));
  const readsPatches = target.kind === 'forgery' || pooled;
  const context = { info, readsPatches, hasMasks };
  if (given === undefined) return METHODS.filter((method) => whyNot(method, context) === undefined);
  for (const method of given) {
    const reason = whyNot(method, context);
    if (reason === undefined) continue;
    throw new KfdError('ERR_KFD_INVALID_ARGUMENT', `Method ${method} has no meaning here: ${reason}.`, {
      hint: 'Leave --methods away to take every method that has one.',
    });
  }
  return [...given];
}

/** Runs the methods and metrics over the images of a folder. */
export class Evaluation {
  private readonly prior: MaskPrior;
  readonly methods: readonly Method[];

  /**
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT for methods or metrics without meaning for this model and target
   */
  constructor(
    private readonly model: EvaluationModel,
    private readonly images: readonly EvaluationImage[],
    private readonly options: EvaluationOptions,
  ) {
    checkTarget(options.target, model.isDetector, options.metrics);
    const hasMasks = images.length > 0 && images.every(({ mask }) => mask !== undefined);
    this.methods = chooseMethods(model, options.target, options.methods, hasMasks);
    this.prior = new MaskPrior(model.input.width, model.input.height);
  }

  /**
   * One row an image, in the order of the images. Faces and masks of all of them are looked at first, since the prior
   * needs the others' masks.
   *
   * @param skip images whose rows are there already
   * @param onLocated called after each image of the first round
   * @throws KfdError what ends the evaluation: an abort, or a model that cannot do this; what is wrong with one image
   *   stands in its row
   */
  async *rows(
    skip: ReadonlySet<string> = new Set(),
    onLocated: (done: number) => void = () => undefined,
  ): AsyncGenerator<ImageRow, void, undefined> {
    const { concurrency, signal } = this.options;
    let done = 0;
    const located = await pMap(
      this.images,
      async (image) => {
        throwIfAborted(signal);
        const found = await this.locate(image);
        done += 1;
        onLocated(done);
        return found;
      },
      { concurrency },
    );
    for (const { name, group, maskView } of located) {
      if (maskView !== undefined) this.prior.add(group ?? name, maskView);
    }
    const waiting = located.filter(({ name }) => !skip.has(name));
    yield* pMapIterable(waiting, (image) => this.row(image), { concurrency });
  }

  /** The upright picture, and its mask if it has one. */
  private async decode(image: EvaluationImage): Promise<{ picture: RgbImage; mask: RgbImage | undefined }> {
    const picture = await decodeImage(image.file);
    if (image.mask === undefined) return { picture, mask: undefined };
    const mask = await decodeImage(image.mask);
    checkMaskSize(picture, mask, image);
    return { picture, mask };
  }

  private async locate(image: EvaluationImage): Promise<LocatedImage> {
    const { faces, signal } = this.options;
    try {
      const { picture, mask } = await this.decode(image);
      const crop = await this.model.locate(picture, faces, signal);
      const seen = mask !== undefined && crop !== 'none';
      const maskView = seen ? await this.model.maskView(mask, crop, signal) : undefined;
      return { ...image, crop, maskView, failure: undefined };
    } catch (error) {
      return {
        ...image,
        crop: 'none',
        maskView: undefined,
        failure: failureOf(error, signal, ['ERR_KFD_INVALID_ARGUMENT']),
      }; // a mask of another size
    }
  }

  private async row(image: LocatedImage): Promise<ImageRow> {
    const { name, group, crop, failure } = image;
    if (failure !== undefined) return { ...emptyRow(name, group, 'error'), error: failure.toJSON() };
    if (crop === 'none') return emptyRow(name, group, 'no-face');
    try {
      const picture = await this.model.view(await decodeImage(image.file), crop, this.options.signal);
      return await this.evaluate(image, picture);
    } catch (error) {
      const { code, message, hint } = failureOf(error, this.options.signal, ['ERR_KFD_NOT_FINITE']).toJSON();
      return { ...emptyRow(name, group, 'error'), error: { code, message, hint } };
    }
  }

  private async evaluate(image: LocatedImage, picture: Picture): Promise<ImageRow> {
    const { target, metrics, steps, seed, signal } = this.options;
    const { name, group, maskView } = image;
    using flow = this.model.flow(picture);
    const { arrays } = await flow.forward({ signal });
    const resolved = resolveTarget(target, this.model.outputs(arrays));
    const index = resolved.index ?? ('index' in target ? target.index : undefined);
    const original = this.model.judge(arrays, 0, index);
    const maps = await readFlowMaps(flow, this.model.info, resolved.native, this.methods, signal);
    this.addControls(maps, arrays, image);
    flow.close();

    const row = emptyRow(name, group, 'ok');
    Object.assign(row, { score: original.score, decision: original.decision, class: index ?? null });
    const context: PerturbationContext = {
      ...{ model: this.model, picture, index, original, groups: metrics, steps, seed, name, signal },
    };
    const shared = metrics.some((metric) => metric !== 'localisation')
      ? await sharedPictures(context)
      : undefined;
    if (maskView !== undefined) row.mask_share = maskShare(maskView);
    for (const [method, found] of maps) {
      const map = this.enlarged(found.final);
      const place = this.localise(maskView, map);
      const changed = shared === undefined ? undefined : await perturb(context, shared, map);
      row.methods[method] = { ...place, ...changed?.values };
      if (changed !== undefined && Object.keys(changed.curves).length > 0)
        row.curves[method] = changed.curves;
      const blocks = this.localiseBlocks(maskView, found);
      if (blocks !== undefined) row.blocks[method] = blocks;
    }
    return row;
  }

  /** The detector's own map, the prior and the random map, where they are wanted. */
  private addControls(
    maps: Map<Method, MethodMaps>,
    arrays: NamedArrays,
    { name, group }: LocatedImage,
  ): void {
    const { gridWidth, gridHeight } = this.model.info;
    const { width, height } = this.model.input;
    if (this.methods.includes('locator')) {
      maps.set('locator', { final: { width, height, data: outputOf({ arrays }, 'map').data } });
    }
    const prior = this.methods.includes('prior') ? this.prior.without(group ?? name) : undefined;
    if (prior !== undefined) maps.set('prior', { final: prior });
    if (this.methods.includes('random')) {
      maps.set('random', { final: randomMap(gridWidth, gridHeight, this.options.seed, name) });
    }
  }

  private enlarged(map: Plane): Plane {
    const { width, height } = this.model.input;
    return map.width === width && map.height === height ? map : enlarge(map, width, height);
  }

  /** Nothing where localisation is not asked for, or the mask has nothing to find in this view. */
  private localise(mask: Mask | undefined, map: Plane) {
    if (!this.canLocalise(mask)) return {};
    return localisation(map, mask);
  }

  private canLocalise(mask: Mask | undefined): mask is Mask {
    if (mask === undefined || !this.options.metrics.includes('localisation')) return false;
    const share = maskShare(mask);
    return share > 0 && share < 1;
  }

  private localiseBlocks(mask: Mask | undefined, { blocks, accumulated }: MethodMaps) {
    if (!this.canLocalise(mask) || blocks === undefined || accumulated === undefined) return undefined;
    const figures = (planes: readonly Plane[]): BlockFigures => {
      const large = planes.map((plane) => this.enlarged(plane));
      return {
        mass: large.map((plane) => massInside(plane, mask)),
        auroc: large.map((plane) => pixelAuroc(plane, mask)),
      };
    };
    return { alone: figures(blocks), accumulated: figures(accumulated) };
  }
}
