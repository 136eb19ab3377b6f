import type { ErrorCode } from '../errors.js';

/** Exit codes of every command (design section 8). `detect` never puts real or fake into the exit code. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  modelRefused: 3,
  someInputsFailed: 4,
  noInputs: 5,
  device: 6,
  workerCrashed: 7,
  belowGate: 8,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A record and not a list, so that the compiler asks for an entry when a new code appears. */
const EXIT_OF_ERROR: Readonly<Record<ErrorCode, ExitCode>> = {
  ERR_KFD_USAGE: EXIT.usage,
  ERR_KFD_INVALID_ARGUMENT: EXIT.usage,
  ERR_KFD_NO_INPUT: EXIT.noInputs,
  ERR_KFD_FILE_NOT_FOUND: EXIT.someInputsFailed,
  ERR_KFD_FILE_READ: EXIT.someInputsFailed,
  ERR_KFD_IMAGE_DECODE: EXIT.someInputsFailed,
  ERR_KFD_IMAGE_TOO_LARGE: EXIT.someInputsFailed,
  ERR_KFD_TENSOR_FORMAT: EXIT.someInputsFailed,
  ERR_KFD_NOT_FINITE: EXIT.someInputsFailed,
  ERR_KFD_FILE_WRITE: EXIT.unexpected,
  ERR_KFD_ADDON_MISSING: EXIT.unexpected,
  ERR_KFD_ADDON_LOAD: EXIT.unexpected,
  ERR_KFD_LIBTORCH_NOT_FOUND: EXIT.unexpected,
  ERR_KFD_LIBTORCH_MISMATCH: EXIT.unexpected,
  ERR_KFD_DOWNLOAD: EXIT.unexpected,
  ERR_KFD_DIGEST: EXIT.unexpected,
  ERR_KFD_OFFLINE: EXIT.unexpected,
  ERR_KFD_BUILD: EXIT.unexpected,
  ERR_KFD_TOOL_MISSING: EXIT.unexpected,
  ERR_KFD_MODEL_NOT_FOUND: EXIT.modelRefused,
  ERR_KFD_MODEL_MANIFEST: EXIT.modelRefused,
  ERR_KFD_MODEL_DIGEST: EXIT.modelRefused,
  ERR_KFD_MODEL_LOAD: EXIT.modelRefused,
  ERR_KFD_MODEL_UNSUPPORTED: EXIT.modelRefused,
  ERR_KFD_MODEL_MISMATCH: EXIT.modelRefused,
  ERR_KFD_LLAMA_MISSING: EXIT.modelRefused,
  ERR_KFD_LLAMA_MISMATCH: EXIT.modelRefused,
  ERR_KFD_LANGUAGE_MODEL: EXIT.modelRefused,
  ERR_KFD_BUSY: EXIT.unexpected,
  ERR_KFD_QUEUE_FULL: EXIT.unexpected,
  ERR_KFD_ABORTED: EXIT.interrupted,
  ERR_KFD_DISPOSED: EXIT.unexpected,
  ERR_KFD_OUT_OF_MEMORY: EXIT.device,
  ERR_KFD_DEVICE: EXIT.device,
  ERR_KFD_INTERNAL: EXIT.unexpected,
};

export function exitCodeOf(code: ErrorCode): ExitCode {
  return EXIT_OF_ERROR[code];
}
