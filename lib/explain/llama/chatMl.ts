import { KfdError } from '../../errors.js';
import type { PrefixText } from '../prefix.js';
import type { ChatItem, ChatWrapper, ContextState, NodeLlama, SpecialTokensText } from './nodeLlama.js';

/** A prefix as the chat layer sees it: its text, and special tokens that nothing else uses in place of the soft rows. */
export interface ChatPrefix {
  readonly text: PrefixText;
  /** Spelling of the placeholder of the visual token. */
  readonly visual: string;
  /** Spelling of the placeholders of forgery prompts and score token, one after the other. */
  readonly evidence: string;
}

type Piece = string | SpecialTokensText;

/**
 * ChatML without a beginning-of-sequence token: node-llama-cpp's own wrapper puts one before the first turn, which for
 * models whose BOS is `<|im_start|>` doubles it. With a prefix it stands at the start of the first user turn that is
 * still in the context, so that dropping old turns never drops it.
 *
 * What users and models wrote is plain text: a special token spelled in a question is not one.
 */
export function createChatMl(module: NodeLlama, prefix?: ChatPrefix): ChatWrapper {
  const special = (text: string): SpecialTokensText => new module.SpecialTokensText(text);
  const open = special('<|im_start|>');
  const close = special('<|im_end|>');
  const prefixPieces: Piece[] =
    prefix === undefined
      ? []
      : [prefix.text.head, special(prefix.visual), prefix.text.middle, special(prefix.evidence)];

  function turn(item: ChatItem, firstUser: boolean): Piece[] {
    switch (item.type) {
      case 'system':
        return [open, `system\n${item.text}`];
      case 'user':
        return [open, 'user\n', ...(firstUser ? prefixPieces : []), item.text];
      case 'model':
        return [open, 'assistant\n', ...item.response];
    }
  }

  class ChatMl extends module.ChatWrapper implements ChatWrapper {
    readonly wrapperName = prefix === undefined ? 'KfdChatMl' : 'KfdPrefix';
    readonly settings = {
      supportsSystemMessages: true,
      functions: {
        call: { optionalPrefixSpace: true, prefix: '', paramsPrefix: '', suffix: '' },
        result: { prefix: '', suffix: '' },
      },
    };

    /** No system prompt of node-llama-cpp's own. */
    generateInitialChatHistory(): ChatItem[] {
      return [];
    }

    generateContextState({ chatHistory }: { chatHistory: readonly ChatItem[] }): ContextState {
      if (prefix !== undefined && !chatHistory.some(({ type }) => type === 'user')) {
        throw new KfdError('ERR_KFD_INTERNAL', 'A chat without a question has no place for the prefix.');
      }
      const firstUser = chatHistory.findIndex(({ type }) => type === 'user');
      const pieces = chatHistory.flatMap((item, i) => [
        ...turn(item, i === firstUser),
        ...(i < chatHistory.length - 1 ? [close, '\n'] : []),
      ]);
      return {
        contextText: module.LlamaText(pieces),
        stopGenerationTriggers: [module.LlamaText([close])],
      };
    }
  }
  return new ChatMl();
}
