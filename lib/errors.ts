/**
 * Every code a {@link KfdError} can carry. The same table, with what to do, is in docs/errors.md; a test keeps both
 * and the tests that raise each code in step.
 */
export const ERROR_CODES = [
  'ERR_KFD_USAGE', // an option or argument is malformed
  'ERR_KFD_NO_INPUT', // nothing to work on
  'ERR_KFD_FILE_NOT_FOUND', // a path does not exist
  'ERR_KFD_FILE_READ', // it exists but cannot be read (permissions, a folder where a file is expected)
  'ERR_KFD_FILE_WRITE', // an output cannot be written
  'ERR_KFD_IMAGE_DECODE', // not an image, truncated or damaged
  'ERR_KFD_IMAGE_TOO_LARGE', // above the pixel or byte limit
  'ERR_KFD_TENSOR_FORMAT', // an .npz/.npy is malformed or of the wrong shape or type
  'ERR_KFD_ADDON_MISSING', // the native addon is not built
  'ERR_KFD_ADDON_LOAD', // it is built but does not load
  'ERR_KFD_LIBTORCH_NOT_FOUND', // no usable libtorch
  'ERR_KFD_LIBTORCH_MISMATCH', // a libtorch of the wrong version or ABI
  'ERR_KFD_DOWNLOAD', // a download failed
  'ERR_KFD_DIGEST', // a download or cached file has the wrong SHA-256
  'ERR_KFD_OFFLINE', // --offline, and the file is not in the cache
  'ERR_KFD_BUILD', // compiling the addon failed
  'ERR_KFD_TOOL_MISSING', // cmake, a compiler, pip ... is not installed
  'ERR_KFD_MODEL_NOT_FOUND', // no model file or manifest at this path
  'ERR_KFD_MODEL_MANIFEST', // the manifest is missing, malformed or of an unknown schema
  'ERR_KFD_MODEL_DIGEST', // the model file is not the one its manifest describes
  'ERR_KFD_MODEL_LOAD', // not a TorchScript archive, or torch refuses it
  'ERR_KFD_MODEL_UNSUPPORTED', // it loads, but is frozen or of an unknown shape
  'ERR_KFD_MODEL_MISMATCH', // manifest or options contradict the module
  'ERR_KFD_LLAMA_MISSING', // node-llama-cpp or its libraries are not installed
  'ERR_KFD_LLAMA_MISMATCH', // they are of another version than this package was built for
  'ERR_KFD_LANGUAGE_MODEL', // a GGUF file or its adapter is missing, damaged, foreign or does not fit
  'ERR_KFD_BUSY', // every parallel dialogue is in use
  'ERR_KFD_INVALID_ARGUMENT', // an API argument is malformed
  'ERR_KFD_NOT_FINITE', // the network computed NaN or infinity
  'ERR_KFD_QUEUE_FULL', // the engine's bounded queue is full
  'ERR_KFD_ABORTED', // cancelled by an AbortSignal
  'ERR_KFD_DISPOSED', // the object was disposed
  'ERR_KFD_OUT_OF_MEMORY', // an allocation failed
  'ERR_KFD_DEVICE', // no such device, or it failed
  'ERR_KFD_INTERNAL', // anything else: a defect of ours or of libtorch
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface KfdErrorOptions {
  /** What the user can do about it. */
  hint?: string;
  cause?: unknown;
}

/**
 * The only error type that the package throws on purpose. `message` says what was expected and what came, `hint` what
 * to do.
 */
export class KfdError extends Error {
  override readonly name = 'KfdError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: KfdErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  /** The form used in JSON outputs. */
  toJSON(): { code: ErrorCode; message: string; hint: string | null } {
    return { code: this.code, message: this.message, hint: this.hint ?? null };
  }
}

const KNOWN_CODES: ReadonlySet<string> = new Set(ERROR_CODES);

/** Turns anything thrown into a {@link KfdError}; one that already is comes back unchanged. */
export function toKfdError(error: unknown, fallback: ErrorCode = 'ERR_KFD_INTERNAL'): KfdError {
  if (error instanceof KfdError) return error;
  if (error instanceof Error) {
    const { code, hint } = error as Error & { code?: unknown; hint?: unknown };
    const known = typeof code === 'string' && KNOWN_CODES.has(code) ? (code as ErrorCode) : fallback;
    return new KfdError(known, error.message, {
      cause: error,
      ...(typeof hint === 'string' && hint !== '' ? { hint } : {}),
    });
  }
  return new KfdError(fallback, String(error));
}

/** Throws ERR_KFD_ABORTED when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new KfdError('ERR_KFD_ABORTED', 'The operation was aborted.', { cause: signal.reason });
}
