import type { AnswerTokens, Conditioning } from './answerDocument.js';

/** One question and its answer, as they stay in the dialogue. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
}

export interface SpeakRequest {
  /** What was said before, oldest first. */
  readonly history: readonly Turn[];
  readonly question: string;
  readonly onText?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Spoken {
  text: string;
  tokens: AnswerTokens;
  stop: 'end' | 'length';
}

/** One face's conversation with a language model; one call at a time. */
export interface Speaker {
  readonly conditioning: Exclude<Conditioning, 'sentences'>;
  /**
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT (the question is too long), ERR_KFD_ABORTED, ERR_KFD_LANGUAGE_MODEL
   */
  speak(request: SpeakRequest): Promise<Spoken>;
  dispose(): Promise<void>;
}
