import pMap from 'p-map';
import { KfdError } from '../errors.js';
import type { RgbImage } from '../image/rgbImage.js';
import { outputOf, type Engine, type EngineModel } from '../native/engine.js';
import { defaultModel, requireModelManifest, verifyModel, type ModelManifest } from '../setup/models.js';
import {
  decodeCandidates,
  INPUT_SIZE,
  squareAffine,
  squareAround,
  wholeSquare,
  type Square,
} from './blazeFace.js';
import type { Face } from './face.js';
import { dropTwins, intersectionOverUnion, suppressOverlaps } from './suppression.js';

export interface FaceFinderOptions {
  /** The engine to run on; it stays the caller's. */
  engine: Engine;
  /** Path of a face model or its manifest; default weights/blazeface-256. */
  model?: string | undefined;
  device?: string | undefined;
}

/** The rules of the search, from the model's manifest; see python/kfd_export/face_detection.py. */
interface SearchRules {
  /** Confidence from which something in the whole picture deserves a closer look. */
  candidateThreshold: number;
  /** Confidence that it needs from close by. */
  scoreThreshold: number;
  iouThreshold: number;
  /** Side of the closer look in sides of the candidate's box. */
  zoom: number;
}

/** Closer looks of one picture under way at once: one full batch; more would only pin the same picture again. */
const LOOKS_AT_ONCE = 4;

function readRules(manifest: ModelManifest): SearchRules {
  const { input, face, kind } = manifest;
  const candidateThreshold = face?.raw['candidateThreshold'];
  const zoom = face?.raw['zoom'];
  const rules = {
    candidateThreshold,
    zoom,
    scoreThreshold: face?.scoreThreshold,
    iouThreshold: face?.iouThreshold,
  };
  const missing = Object.entries(rules).find(([, value]) => typeof value !== 'number');
  if (kind !== 'face' || input.width !== INPUT_SIZE || input.height !== INPUT_SIZE || missing !== undefined) {
    throw new KfdError(
      'ERR_KFD_MODEL_MISMATCH',
      `${manifest.manifestPath}: expected kind "face", input ${INPUT_SIZE} x ${INPUT_SIZE} and the four rules of the ` +
        `search, received kind "${kind}", ${input.width} x ${input.height}` +
        (missing === undefined ? '.' : ` and no number face.${missing[0]}.`),
      { hint: 'Give the manifest that python -m kfd_export blazeface writes.' },
    );
  }
  return rules as SearchRules;
}

/** Finds faces with BlazeFace 256 on the engine; squares, anchors, decoding and suppression happen here. */
export class FaceFinder {
  private constructor(
    private readonly model: EngineModel,
    private readonly rules: SearchRules,
    readonly manifest: ModelManifest,
  ) {}

  /**
   * Checks the model against its manifest and loads it.
   *
   * @throws KfdError ERR_KFD_MODEL_NOT_FOUND, ERR_KFD_MODEL_MANIFEST, ERR_KFD_MODEL_DIGEST, ERR_KFD_MODEL_MISMATCH and
   *   the engine's load errors
   */
  static async load({ engine, model, device = 'cpu' }: FaceFinderOptions): Promise<FaceFinder> {
    const manifest = model === undefined ? await defaultModel('face') : await requireModelManifest(model);
    const rules = readRules(manifest);
    await verifyModel(manifest);
    const loaded = await engine.load(manifest.modelPath, { kind: 'module', device, input: manifest.input });
    return new FaceFinder(loaded, rules, manifest);
  }

  /**
   * All faces of a picture, largest box first; an empty list where there is none. Faces smaller than about 4 % of the
   * picture's longer side are not found.
   *
   * @throws KfdError ERR_KFD_ABORTED, ERR_KFD_DISPOSED, ERR_KFD_QUEUE_FULL
   */
  async find(image: RgbImage, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Face[]> {
    const { candidateThreshold, iouThreshold } = this.rules;
    const candidates = await this.look(
      image,
      wholeSquare(image.width, image.height),
      candidateThreshold,
      signal,
    );
    const confirmed = await pMap(candidates, (candidate) => this.lookAgain(image, candidate, signal), {
      concurrency: LOOKS_AT_ONCE,
    });
    const area = ({ box }: Face) => box[2] * box[3];
    return dropTwins(
      confirmed.filter((face) => face !== undefined),
      iouThreshold,
    ).sort((a, b) => area(b) - area(a));
  }

  /** One pass over one square of the picture. */
  private async look(
    image: RgbImage,
    square: Square,
    threshold: number,
    signal: AbortSignal | undefined,
  ): Promise<Face[]> {
    const result = await this.model.run({ image, crop: squareAffine(square) }, { signal });
    const scores = outputOf(result, 'output0').data;
    const boxes = outputOf(result, 'output1').data;
    return suppressOverlaps(decodeCandidates(scores, boxes, square, threshold), this.rules.iouThreshold);
  }

  /** The candidate as seen from close by, or undefined where the closer look does not confirm it. */
  private async lookAgain(
    image: RgbImage,
    candidate: Face,
    signal: AbortSignal | undefined,
  ): Promise<Face | undefined> {
    const { zoom, scoreThreshold, iouThreshold } = this.rules;
    const faces = await this.look(image, squareAround(candidate.box, zoom), scoreThreshold, signal);
    return faces.find(({ box }) => intersectionOverUnion(candidate.box, box) > iouThreshold);
  }

  /** Drops the model; the engine stays. */
  dispose(): void {
    this.model.dispose();
  }
}
