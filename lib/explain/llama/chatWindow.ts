import { KfdError } from '../../errors.js';
import type { Turn } from '../speaker.js';
import type { ChatItem, ChatWrapper, Token, Tokenizer } from './nodeLlama.js';

export interface WindowLimits {
  /** Tokens of one sequence of the context. */
  contextSize: number;
  /** Tokens to keep free for the answer, and for a correction with its own answer. */
  reserve: number;
  /** Tokens of one question. */
  question: number;
}

/**
 * Which turns of a dialogue the language model still sees. When they no longer fit, the oldest go, until half of the
 * room is free again: each removal has the turns that stay evaluated anew, so it should be rare. What stands before the
 * first turn (prefix or system text) always stays. The dialogue's own history is complete all the same.
 */
export class ChatWindow {
  private first = 0;

  constructor(
    private readonly wrapper: ChatWrapper,
    private readonly tokenizer: Tokenizer,
    private readonly system: string | undefined,
    private readonly limits: WindowLimits,
  ) {}

  /**
   * @returns what goes before the question, and the tokens of everything up to where the answer starts
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT when the question alone is too long
   */
  fit(history: readonly Turn[], question: string): { before: ChatItem[]; tokens: Token[] } {
    this.checkQuestion(question);
    const room = this.limits.contextSize - this.limits.reserve;
    this.first = Math.min(this.first, history.length);
    let fitted = this.render(history, question);
    if (fitted.tokens.length <= room) return fitted;
    while (fitted.tokens.length > room / 2 && this.first < history.length) {
      this.first += 1;
      fitted = this.render(history, question);
    }
    if (fitted.tokens.length > room) {
      throw new KfdError(
        'ERR_KFD_INVALID_ARGUMENT',
        `The question needs ${fitted.tokens.length} tokens with what must stand before it; ${room} fit.`,
        { hint: 'Ask a shorter question, or load the explainer with a greater `contextSize`.' },
      );
    }
    return fitted;
  }

  /** The tokens of a chat, ready for the answer to follow. */
  tokensOf(before: readonly ChatItem[], question: string): Token[] {
    const chatHistory: ChatItem[] = [
      ...before,
      { type: 'user', text: question },
      { type: 'model', response: [] },
    ];
    return this.wrapper.generateContextState({ chatHistory }).contextText.tokenize(this.tokenizer);
  }

  private render(history: readonly Turn[], question: string): { before: ChatItem[]; tokens: Token[] } {
    const before: ChatItem[] = [
      ...(this.system === undefined ? [] : [{ type: 'system' as const, text: this.system }]),
      ...history.slice(this.first).flatMap((turn): ChatItem[] => [
        { type: 'user', text: turn.question },
        { type: 'model', response: [turn.answer] },
      ]),
    ];
    return { before, tokens: this.tokensOf(before, question) };
  }

  private checkQuestion(question: string): void {
    const count = this.tokenizer(question).length;
    if (count <= this.limits.question) return;
    throw new KfdError(
      'ERR_KFD_INVALID_ARGUMENT',
      `Expected a question of at most ${this.limits.question} tokens but received one of ${count}.`,
      { hint: 'Ask a shorter question.' },
    );
  }
}
