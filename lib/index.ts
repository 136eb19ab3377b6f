/** The public API of kfd-native. Guide: docs/api.md. */

export { KfdError, ERROR_CODES, type ErrorCode } from './errors.js';

export { Detector } from './kfd/detector.js';
export type { DetectOptions, DetectorInfo, DetectorOptions } from './kfd/options.js';
export type { DetectAllOptions, DetectInput } from './kfd/stream.js';
export type { DetectedModel, Detection, FaceDetection, FaceMap, Timing } from './kfd/detection.js';
export { promptsOf, type FacePrompts } from './kfd/evidence.js';
export { describeMaturity } from './kfd/maturity.js';
export { describeMeasurements } from './kfd/measurements.js';

export { decodeImage, type DecodeOptions } from './image/decode.js';
export type { ImageSource, RawImage, RgbImage } from './image/rgbImage.js';

export { FaceFinder, type FaceFinderOptions } from './face/faceFinder.js';
export { KEYPOINTS, type Box, type Face, type FaceSelection, type Point } from './face/face.js';
export { alignFace } from './face/alignment.js';
export { FaceRegions, type RegionPolygons, type RegionStatistics } from './face/regions.js';

export { averageDrop, explanationPicture, increaseInConfidence } from './faithfulness/confidence.js';
export { bootstrapMean } from './faithfulness/bootstrap.js';
export {
  iouAtMean,
  localisation,
  maskShare,
  massInside,
  pixelAuroc,
  pointingGame,
} from './faithfulness/localisation.js';
export { areaUnder, blurred, flatPicture, mix, pixelOrder } from './faithfulness/perturbation.js';
export { enlarge, type Mask, type Picture, type Plane } from './faithfulness/plane.js';
export { Random } from './faithfulness/random.js';
export { imputeNoisyLinear, removedPixels, roadCombined } from './faithfulness/road.js';

export { ReportWriter, type ReportEntry, type ReportOptions } from './report/reportWriter.js';

export {
  FLOW_FORMATS,
  writeFlowArrays,
  writeFlowFiles,
  type FlowFileOptions,
  type FlowFormat,
} from './report/flowFiles.js';
export { flowGif } from './report/flowGif.js';
export { flowPage, type FlowPicture } from './report/flowPage.js';
export { flowPictures } from './report/flowPictures.js';

export { stackArrays, type AttentionFlow } from './daam/attentionFlow.js';
export type { Completeness, FlowDocument, FlowMaps, GridMap } from './daam/flowDocument.js';
export type { FlowStep, TargetStep } from './daam/flowSteps.js';
export {
  createMemoryBank,
  loadMemoryBank,
  neighbourWeights,
  saveMemoryBank,
  type BankRow,
  type MemoryBank,
  type Neighbours,
} from './daam/memoryBank.js';
export {
  COEFFICIENTS,
  ROWS,
  type FlowCoefficients,
  type FlowOptions,
  type FlowRows,
} from './daam/options.js';
export { renderLevels, type RenderStyle } from './daam/rendering.js';
export { describeCompleteness, describeMilestones, type FlowSummary } from './daam/summary.js';
export { readTarget, targetName, type FlowTarget } from './daam/target.js';
export type { TargetFlow } from './daam/targetFlow.js';

export { readNpy, readNpz, readNpzArray, writeNpz } from './data/npz.js';
export type { ByteArray, NpyArray, TextArray } from './data/npy.js';

export { Engine, EngineModel, type EngineOptions, type JobOptions } from './native/engine.js';
export type {
  Affine,
  BlockEvent,
  FloatArray,
  Hooks,
  InputSpec,
  ModelInfo,
  NamedArrays,
  RunResult,
  RuntimeInfo,
} from './native/types.js';

export {
  VisionTransformer,
  type VisionTransformerOptions,
  type VitFlowOptions,
} from './vit/visionTransformer.js';

export { defaultModel, readModelManifest, verifyModel, type ModelManifest } from './setup/models.js';

export { Explainer, type OpenOptions } from './explain/explainer.js';
export { Dialogue } from './explain/dialogue.js';
export type { AskOptions, Decoding, ExplainerInfo, ExplainerOptions } from './explain/options.js';
export type {
  Answer,
  AnswerRound,
  AnswerTokens,
  CheckedText,
  Claim,
  ClaimKind,
  ClaimStatus,
  Conditioning,
  FileIdentity,
  Replacement,
} from './explain/answerDocument.js';
export { evidenceOfFace, type Confidence, type Evidence } from './explain/evidence.js';
export { checkClaims, type CheckOptions } from './explain/claims/checkClaims.js';
export { replaceContradicted, type ReplacedText } from './explain/claims/replaceContradicted.js';
export { CLAIM_TOLERANCES } from './explain/claims/thresholds.js';
export { readQuestion, type Intent, type QuestionReading } from './explain/questions/readQuestion.js';
export { answerFromEvidence } from './explain/sentences/answerFromEvidence.js';
