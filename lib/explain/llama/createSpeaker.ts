import { answerGrammar } from '../answerGrammar.js';
import type { Evidence } from '../evidence.js';
import type { ResolvedOptions } from '../options.js';
import type { Speaker } from '../speaker.js';
import { ChatSpeaker, type PrefixGuard } from './chatSpeaker.js';
import { ChatWindow } from './chatWindow.js';
import { DecidingSpeaker } from './decidingSpeaker.js';
import type { LanguageModel } from './languageModel.js';
import type { ChatWrapper, Sequence } from './nodeLlama.js';

export interface SpeakerParts {
  conditioning: Speaker['conditioning'];
  language: LanguageModel;
  sequence: Sequence;
  wrapper: ChatWrapper;
  guard?: PrefixGuard;
  /** Text before the dialogue. */
  system?: string;
  evidence: Evidence;
  options: ResolvedOptions;
}

/** Tokens of a correction without the question that it repeats, generously. */
const CORRECTION_TOKENS = 128;

/** Puts a conversation on one sequence together, in the way that the option `decoding` asks for. */
export async function createSpeaker(parts: SpeakerParts): Promise<Speaker> {
  const { conditioning, language, sequence, wrapper, guard, system, evidence, options } = parts;
  if (options.decoding === 'decide') {
    return new DecidingSpeaker({ ...parts, model: language.model });
  }
  const grammar =
    options.decoding === 'grammar'
      ? await language.started.llama.createGrammar({ grammar: answerGrammar(evidence) })
      : undefined;
  const { contextSize, maxTokens } = options;
  const question = Math.floor(contextSize / 4);
  // Corrections repeat the question and are answered in turn; more than one is rare and may drop old turns.
  const corrections = options.maxRounds > 1 ? CORRECTION_TOKENS + maxTokens : 0;
  const window = new ChatWindow(wrapper, language.model.tokenizer, system, {
    contextSize,
    reserve: maxTokens + corrections,
    question,
  });
  const session = new language.started.module.LlamaChatSession({
    contextSequence: sequence,
    chatWrapper: wrapper,
    autoDisposeSequence: false,
  });
  return new ChatSpeaker({ conditioning, session, sequence, window, maxTokens, guard, grammar });
}
