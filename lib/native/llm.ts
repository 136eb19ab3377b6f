import { KfdError, throwIfAborted } from '../errors.js';
import { callerOf, withCaller } from './callerStack.js';
import { loadAddon } from './loader.js';
import type {
  LlamaLibraryInfo,
  LlamaLibraryOptions,
  LlamaPrefixInfo,
  LlamaPrefixOptions,
  LlamaWriteRequest,
  LlamaWritten,
  NativeLlamaPrefix,
} from './types.js';

/** An open libllama; one a process. */
export type LlamaLibrary = Readonly<LlamaLibraryInfo>;

/**
 * Opens the libllama that node-llama-cpp ships, for the whole process; the same folder and variant again give the same
 * answer. Where node-llama-cpp is loaded already it must be the same file.
 * @throws KfdError ERR_KFD_LLAMA_MISSING (not there, does not open, or the addon was built without this part),
 *   ERR_KFD_LLAMA_MISMATCH (another release or another copy), ERR_KFD_INVALID_ARGUMENT, ERR_KFD_ADDON_MISSING,
 *   ERR_KFD_ADDON_LOAD
 */
export function openLlama(options: LlamaLibraryOptions): LlamaLibrary {
  const caller = callerOf();
  try {
    return loadAddon().openLlama(options);
  } catch (error) {
    throw withCaller(error, caller);
  }
}

export interface LlamaPrefixLoadOptions extends LlamaPrefixOptions {
  /** From {@link openLlama}. */
  library: LlamaLibrary;
  signal?: AbortSignal | undefined;
}

export interface LlamaWriteOptions extends LlamaWriteRequest {
  /** A waiting write is dropped at once, a running one stops within the decode; rejects with ERR_KFD_ABORTED. */
  signal?: AbortSignal | undefined;
}

/** The type says it, but plain JavaScript may forget that a library must be open before a model is loaded. */
function requireLibrary(library: unknown): void {
  if (typeof library === 'object' && library !== null && 'path' in library) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected what openLlama() returned for library but received ${typeof library}`,
  );
}

/**
 * A language model that writes sequence states: it decodes a prefix of text tokens and embedding rows ("soft prompts")
 * and saves the state, for `sequence.loadStateFromFile` of node-llama-cpp. All work happens on one thread of its own.
 *
 * The state fits a context of the same model and adapter (and scale), the same number of sequences, the same flash
 * attention setting and f16 keys and values. llama.cpp does not check model and adapter: key files by their hashes.
 */
export class LlamaPrefix {
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly native: NativeLlamaPrefix,
    private readonly info: LlamaPrefixInfo,
  ) {}

  /**
   * Loads a model; files are checked before llama.cpp sees them.
   * @throws KfdError ERR_KFD_LANGUAGE_MODEL (GGUF or adapter missing, damaged, foreign or unfit), ERR_KFD_OUT_OF_MEMORY,
   *   ERR_KFD_ABORTED, ERR_KFD_INVALID_ARGUMENT, ERR_KFD_LLAMA_MISSING
   */
  static async load(options: LlamaPrefixLoadOptions): Promise<LlamaPrefix> {
    const caller = callerOf();
    const { library, signal, ...nativeOptions } = options;
    try {
      requireLibrary(library);
      throwIfAborted(signal);
      const native = new (loadAddon().LlamaPrefix)(nativeOptions);
      const abort = (): void => void native.close();
      signal?.addEventListener('abort', abort, { once: true });
      try {
        return new LlamaPrefix(native, await native.ready);
      } catch (error) {
        await native.close();
        throw error;
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /** Floats of an embedding row. */
  get width(): number {
    return this.info.width;
  }

  /** Token ids are 0 .. vocabulary - 1. */
  get vocabulary(): number {
    return this.info.vocabulary;
  }

  /** Positions that a prefix may have. */
  get contextSize(): number {
    return this.info.contextSize;
  }

  /**
   * Token ids of a text, without a begin-of-sequence token.
   * @param options.special markers such as <|im_start|> become the special tokens they name (default false: plain text)
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT (not a string, over 1 MiB), ERR_KFD_DISPOSED
   */
  tokenize(text: string, { special = false }: { special?: boolean } = {}): Int32Array {
    const caller = callerOf();
    try {
      return this.native.tokenize(text, special);
    } catch (error) {
      throw withCaller(error, caller);
    }
  }

  /**
   * Decodes the pieces from position 0 on and saves the sequence's state, with all tokens and placeholders as its token
   * list. The file appears whole or not at all. Arrays are copied before this returns.
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT (row width, NaN, unknown token, more positions than contextSize),
   *   ERR_KFD_FILE_WRITE, ERR_KFD_ABORTED, ERR_KFD_QUEUE_FULL, ERR_KFD_DISPOSED, ERR_KFD_INTERNAL
   */
  async write({ signal, ...request }: LlamaWriteOptions): Promise<LlamaWritten> {
    const caller = callerOf();
    try {
      throwIfAborted(signal);
      const job = this.native.write(request);
      const cancel = (): void => job.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
      try {
        return await job.promise;
      } finally {
        signal?.removeEventListener('abort', cancel);
      }
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /** Aborts waiting and running writes and frees the model; resolves when it is gone. Idempotent. */
  close(): Promise<void> {
    return (this.closing ??= this.native.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
