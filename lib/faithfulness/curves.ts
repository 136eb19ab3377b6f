import { averageDrop, explanationPicture, increaseInConfidence } from './confidence.js';
import type { EvaluationModel, Judgement } from './evaluationModel.js';
import type { MetricGroup, MetricValues } from './metrics.js';
import {
  areaUnder,
  blurred,
  flatPicture,
  innerFractions,
  mix,
  pixelOrder,
  reversed,
} from './perturbation.js';
import type { Picture, Plane } from './plane.js';
import { Random } from './random.js';
import { imputeNoisyLinear, removedPixels, roadCombined } from './road.js';

/** What all methods of one image share. */
export interface PerturbationContext {
  model: EvaluationModel;
  picture: Picture;
  /** The class in question, for classifiers. */
  index: number | undefined;
  original: Judgement;
  /** The groups that are wanted; `localisation` is not made here. */
  groups: readonly MetricGroup[];
  /** Steps from nothing to everything. */
  steps: number;
  seed: number;
  /** Names the random streams of this image. */
  name: string;
  signal: AbortSignal | undefined;
}

/** The pictures that all methods start from or end with, and their judgements. */
export interface SharedPictures {
  mean: Picture;
  black: Picture;
  blurred: Picture;
  meanScore: number;
  blurredScore: number;
}

export async function sharedPictures(context: PerturbationContext): Promise<SharedPictures> {
  const { model, picture, index, signal } = context;
  const mean = flatPicture(picture, model.meanColour);
  const soft = blurred(picture, model.meanColour);
  const [ofMean, ofSoft] = await model.judgeAll([() => mean, () => soft], index, signal);
  return {
    mean,
    black: flatPicture(picture),
    blurred: soft,
    meanScore: ofMean?.score ?? NaN,
    blurredScore: ofSoft?.score ?? NaN,
  };
}

/** Scores by the share of pixels changed, from 0 to 1; for positive, negative and ROAD from 1/steps to (steps - 1)/steps. */
export type Curves = Partial<Record<Exclude<MetricGroup, 'localisation' | 'drop'> | 'road_lerf', number[]>>;

export interface PerturbationResult {
  values: MetricValues;
  curves: Curves;
}

const scoresOf = (judged: readonly Judgement[]): number[] => judged.map(({ score }) => score);
const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Every metric that runs the network on changed pictures, for one map of one image. */
export async function perturb(
  context: PerturbationContext,
  shared: SharedPictures,
  map: Plane,
): Promise<PerturbationResult> {
  const { model, picture, index, original, groups, steps, seed, name, signal } = context;
  const order = pixelOrder(map, new Random(seed, `${name} order`));
  const inner = innerFractions(steps);
  const all = [0, ...inner, 1];
  const judge = (make: (fraction: number) => Picture): Promise<Judgement[]> =>
    model.judgeAll(
      inner.map((fraction) => () => make(fraction)),
      index,
      signal,
    );
  const values: MetricValues = {};
  const curves: Curves = {};
  /** Area under the share of decisions kept: Chefer's accuracy, for one image a step function. */
  const kept = (judged: readonly Judgement[]): number =>
    areaUnder(
      judged.map(({ decision }) => (decision === original.decision ? 1 : 0)),
      inner,
    );

  if (groups.includes('deletion')) {
    const between = scoresOf(await judge((fraction) => mix(picture, shared.mean, order, fraction)));
    curves.deletion = [original.score, ...between, shared.meanScore];
    values.deletion = areaUnder(curves.deletion, all);
  }
  if (groups.includes('insertion')) {
    const between = scoresOf(await judge((fraction) => mix(shared.blurred, picture, order, fraction)));
    curves.insertion = [shared.blurredScore, ...between, original.score];
    values.insertion = areaUnder(curves.insertion, all);
  }
  if (groups.includes('positive')) {
    const judged = await judge((fraction) => mix(picture, shared.black, order, fraction));
    curves.positive = scoresOf(judged);
    values.positive = kept(judged);
  }
  if (groups.includes('negative')) {
    const judged = await judge((fraction) => mix(picture, shared.black, reversed(order), fraction));
    curves.negative = scoresOf(judged);
    values.negative = kept(judged);
  }
  if (groups.includes('drop')) {
    const explained = () => explanationPicture(picture, map, model.meanColour);
    const [judged] = await model.judgeAll([explained], index, signal);
    values.average_drop = averageDrop(original.score, judged?.score ?? NaN);
    values.increase = increaseInConfidence(original.score, judged?.score ?? NaN);
  }
  if (groups.includes('road')) {
    const impute = (removing: Uint32Array) => (fraction: number) =>
      imputeNoisyLinear(
        picture,
        removedPixels(removing, fraction),
        new Random(seed, `${name} noise ${fraction}`),
      );
    curves.road = scoresOf(await judge(impute(order)));
    curves.road_lerf = scoresOf(await judge(impute(reversed(order))));
    values.road_morf = meanOf(curves.road);
    values.road_lerf = meanOf(curves.road_lerf);
    values.road = roadCombined(values.road_morf, values.road_lerf);
  }
  return { values, curves };
}
