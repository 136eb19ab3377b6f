import { KfdError, throwIfAborted } from '../errors.js';
import { callerOf, withCaller } from './callerStack.js';
import type { BlockEvent, NativeFlow, NativeFlowPass, RunResult } from './types.js';

export interface FlowCallOptions {
  /** An abort closes the flow; the call that is under way, or the next one, rejects with ERR_KFD_ABORTED. */
  signal?: AbortSignal | undefined;
}

/**
 * One forward pass and any number of reverse passes over it: forward(), then begin() and events() for each pass. The
 * arrays' names and shapes stand in binding/engine/engine.h, class Flow (DAAM, arXiv 2503.14640). One call at a time.
 * It holds the pass's activations until close(), which `using` calls.
 */
export class EngineFlow {
  private passIsOpen = false;
  private closed = false;

  /** @internal made by EngineModel.flow */
  constructor(private readonly native: NativeFlow) {}

  /**
   * The forward pass: the model's outputs and `feature` [B,D], what its head reads.
   * @throws KfdError ERR_KFD_QUEUE_FULL (may be tried again), ERR_KFD_INVALID_ARGUMENT (called twice),
   *   ERR_KFD_ABORTED, ERR_KFD_DISPOSED, ERR_KFD_OUT_OF_MEMORY, ERR_KFD_DEVICE, ERR_KFD_INTERNAL
   */
  async forward({ signal }: FlowCallOptions = {}): Promise<RunResult> {
    const caller = callerOf();
    try {
      return await this.untilAborted(signal, () => this.native.forward());
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /**
   * Starts a pass, in place of one that was left: `y` [T,B], the targets' values.
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT (before forward(), or a target that does not fit the model),
   *   ERR_KFD_MODEL_UNSUPPORTED, and the codes of {@link forward}
   */
  async begin(pass: NativeFlowPass, { signal }: FlowCallOptions = {}): Promise<RunResult> {
    const caller = callerOf();
    this.passIsOpen = false;
    try {
      const started = await this.untilAborted(signal, () => this.native.begin(pass));
      this.passIsOpen = true;
      return started;
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /**
   * The blocks of the pass that begin() started, the last block first (`direct`: the first first). Between two events
   * no work is done; leaving the loop ends the pass, and another begin() may follow.
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT (no pass was begun), and the codes of {@link forward}
   */
  async *events({ signal }: FlowCallOptions = {}): AsyncGenerator<BlockEvent, void, undefined> {
    const caller = callerOf();
    try {
      if (!this.passIsOpen && !this.closed) {
        throw new KfdError('ERR_KFD_INVALID_ARGUMENT', 'Expected events() to follow a begin() of its own.', {
          hint: 'Await begin() first; each pass can be read once.',
        });
      }
      this.passIsOpen = false;
      const close = (): void => this.close();
      signal?.addEventListener('abort', close, { once: true });
      try {
        for (;;) {
          const event = await this.untilAborted(signal, () => this.native.next());
          if (event === null) return;
          yield event;
          if (event.last) return;
        }
      } finally {
        signal?.removeEventListener('abort', close);
      }
    } catch (error) {
      throw withCaller(error, caller, signal);
    }
  }

  /** Lets the activations go; a call under way rejects with ERR_KFD_ABORTED, later ones with ERR_KFD_DISPOSED. */
  close(): void {
    this.closed = true;
    this.native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Closes the flow when the signal fires before or during the call; the listener is gone when it has settled. */
  private async untilAborted<Value>(
    signal: AbortSignal | undefined,
    call: () => Promise<Value>,
  ): Promise<Value> {
    if (signal === undefined) return call();
    const close = (): void => this.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      if (signal.aborted) this.close();
      throwIfAborted(signal);
      const value = await call();
      throwIfAborted(signal);
      return value;
    } finally {
      signal.removeEventListener('abort', close);
    }
  }
}
