/** The public API of kfd-native. Guide: docs/api.md. */

export { KfdError, ERROR_CODES, type ErrorCode } from './errors.js';

export { Detector } from './kfd/detector.js';
export type { DetectOptions, DetectorInfo, DetectorOptions } from './kfd/options.js';
export type { DetectAllOptions, DetectInput } from './kfd/stream.js';
export type { DetectedModel, Detection, FaceDetection, FaceMap, Timing } from './kfd/detection.js';
export { describeMaturity } from './kfd/maturity.js';
export { describeMeasurements } from './kfd/measurements.js';

export { decodeImage, type DecodeOptions } from './image/decode.js';
export type { ImageSource, RawImage, RgbImage } from './image/rgbImage.js';

export { FaceFinder, type FaceFinderOptions } from './face/faceFinder.js';
export { KEYPOINTS, type Box, type Face, type FaceSelection, type Point } from './face/face.js';
export { alignFace } from './face/alignment.js';
export { FaceRegions, type RegionPolygons, type RegionStatistics } from './face/regions.js';

export { ReportWriter, type ReportEntry, type ReportOptions } from './report/reportWriter.js';

export { readNpz, readNpzArray, writeNpz } from './data/npz.js';

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

export { VisionTransformer, type VisionTransformerOptions } from './vit/visionTransformer.js';

export { defaultModel, readModelManifest, verifyModel, type ModelManifest } from './setup/models.js';
