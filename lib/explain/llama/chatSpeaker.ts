import { KfdError, throwIfAborted } from '../../errors.js';
import type { SpeakRequest, Speaker, Spoken } from '../speaker.js';
import type { ChatWindow } from './chatWindow.js';
import type { ChatSession, Grammar, Sequence, Token } from './nodeLlama.js';

/** What must be true of a sequence before and after each turn: that the soft prefix lies at its start. */
export interface PrefixGuard {
  /** Loads the prefix where it is not in place. */
  ensure(): Promise<void>;
  /** True when a turn that evaluated `evaluated` tokens of `tokens` cannot have evaluated the prefix's placeholders. */
  survived(evaluated: number, tokens: readonly Token[]): boolean;
  /** Has the next ensure() load the prefix in any case. */
  distrust(): void;
}

export interface ChatSpeakerParts {
  conditioning: Speaker['conditioning'];
  session: ChatSession;
  sequence: Sequence;
  window: ChatWindow;
  maxTokens: number;
  guard?: PrefixGuard | undefined;
  grammar?: Grammar | undefined;
}

/**
 * A conversation through node-llama-cpp's LlamaChatSession. Before every turn the session is given the history anew:
 * what a correction or an aborted turn left behind is not in it, and tokens that the context holds already are not
 * evaluated again.
 */
export class ChatSpeaker implements Speaker {
  readonly conditioning: Speaker['conditioning'];

  constructor(private readonly parts: ChatSpeakerParts) {
    this.conditioning = parts.conditioning;
  }

  async speak(request: SpeakRequest): Promise<Spoken> {
    throwIfAborted(request.signal);
    const { guard, window } = this.parts;
    const { before, tokens } = window.fit(request.history, request.question);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await guard?.ensure();
      this.parts.session.setChatHistory(before);
      const spoken = await this.prompt(request);
      if (guard === undefined || guard.survived(spoken.tokens.prompt, tokens)) return spoken;
      guard.distrust(); // the answer was made from placeholders: it must not be used
    }
    throw new KfdError(
      'ERR_KFD_INTERNAL',
      'The evidence was lost from the language model twice in one turn.',
      {
        hint: 'Please report this; the answer was withheld because it was not made from the evidence.',
      },
    );
  }

  async dispose(): Promise<void> {
    this.parts.session.dispose({ disposeSequence: false });
    if (!this.parts.sequence.disposed) await this.parts.sequence.dispose();
  }

  private async prompt({ question, onText, signal }: SpeakRequest): Promise<Spoken> {
    const { session, sequence, maxTokens, grammar } = this.parts;
    const { usedInputTokens, usedOutputTokens } = sequence.tokenMeter;
    try {
      const { responseText, stopReason } = await session.promptWithMeta(question, {
        temperature: 0,
        repeatPenalty: false,
        trimWhitespaceSuffix: true,
        maxTokens,
        ...(signal === undefined ? {} : { signal }),
        ...(onText === undefined ? {} : { onTextChunk: onText }),
        ...(grammar === undefined ? {} : { grammar }),
      });
      return {
        text: responseText,
        tokens: {
          prompt: sequence.tokenMeter.usedInputTokens - usedInputTokens,
          generated: sequence.tokenMeter.usedOutputTokens - usedOutputTokens,
        },
        stop: stopReason === 'maxTokens' ? 'length' : 'end',
      };
    } catch (error) {
      throwIfAborted(signal);
      if (error instanceof KfdError) throw error;
      throw new KfdError('ERR_KFD_LANGUAGE_MODEL', `The language model failed: ${(error as Error).message}`, {
        cause: error,
        hint: 'Try again with a new dialogue; conditioning `sentences` needs no language model.',
      });
    }
  }
}
