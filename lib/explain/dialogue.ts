import { KfdError, throwIfAborted } from '../errors.js';
import { round as roundTo } from '../kfd/detection.js';
import type { Answer, Conditioning } from './answerDocument.js';
import type { Evidence } from './evidence.js';
import type { AskOptions, ResolvedOptions } from './options.js';
import { answerInRounds, answerWithoutModel, type RoundsResult } from './rounds.js';
import type { Speaker } from './speaker.js';

/** What an explainer gives each of its dialogues. */
export interface DialogueParts {
  evidence: Evidence;
  /** Undefined: answers are made from the evidence alone. */
  speaker: Speaker | undefined;
  fallback: string | null;
  models: Answer['models'];
  options: Pick<ResolvedOptions, 'maxRounds' | 'check'>;
  /** Called once, when the dialogue is disposed of. */
  onDispose: () => void;
}

/** A character question of a megabyte would still be tokenised. */
const LONGEST_QUESTION = 4000;

function checkQuestion(question: unknown): string {
  const text = typeof question === 'string' ? question.trim() : '';
  if (text !== '' && text.length <= LONGEST_QUESTION) return text;
  const received = typeof question === 'string' ? `one of ${question.trim().length}` : typeof question;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected a question of 1 to ${LONGEST_QUESTION} characters but received ${received}.`,
    { hint: 'For example: "Why do you think so?"' },
  );
}

/**
 * Questions and answers about one face. The verdict stands before the first question: it comes from the detector, and
 * nothing that is said here changes it. Questions asked while another is being answered wait for their turn.
 */
export class Dialogue {
  readonly evidence: Evidence;
  readonly conditioning: Conditioning;
  /** Why no language model (or no soft prompts) speaks here; null where nothing fell back. */
  readonly fallback: string | null;

  private readonly answers: Answer[] = [];
  private readonly disposal = new AbortController();
  private last: Promise<unknown> = Promise.resolve();
  private ending: Promise<void> | undefined;

  /** @internal Explainer.open makes them. */
  constructor(private readonly parts: DialogueParts) {
    this.evidence = parts.evidence;
    this.conditioning = parts.speaker?.conditioning ?? 'sentences';
    this.fallback = parts.fallback;
  }

  /** The answers so far, oldest first; one that was aborted or failed is not among them. */
  get history(): readonly Answer[] {
    return [...this.answers];
  }

  /**
   * Asks one question.
   *
   * @throws KfdError ERR_KFD_INVALID_ARGUMENT (empty or too long), ERR_KFD_ABORTED, ERR_KFD_DISPOSED,
   *   ERR_KFD_LANGUAGE_MODEL (it failed while it answered)
   */
  async ask(question: string, options: AskOptions = {}): Promise<Answer> {
    this.checkUsable();
    const text = checkQuestion(question);
    const started = performance.now();
    const turn = this.last.then(() => this.answer(text, options, started));
    this.last = turn.catch(() => undefined);
    return turn;
  }

  /** Aborts what is being answered and frees the dialogue's place in the explainer. Idempotent. */
  dispose(): Promise<void> {
    this.ending ??= this.end();
    return this.ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private async answer(question: string, options: AskOptions, started: number): Promise<Answer> {
    this.checkUsable();
    throwIfAborted(options.signal);
    const waited = performance.now() - started;
    const result = await this.speak(question, options);
    const { evidence } = this;
    const firstTokenMs = result.firstTokenMs === null ? null : roundTo(waited + result.firstTokenMs, 2);
    const answer: Answer = {
      schema: 'kfd.answer/1',
      question,
      text: result.text,
      conditioning: this.conditioning,
      source: result.source,
      fallback: this.fallback,
      claims: result.checked.claims,
      omitted: result.checked.omitted,
      checked: this.parts.options.check,
      rounds: result.rounds,
      replaced: result.replaced,
      evidence: {
        score: evidence.score,
        threshold: evidence.threshold,
        verdict: evidence.verdict,
        confidence: evidence.confidence,
        namedRegions: evidence.namedRegions,
        extent: evidence.extent,
      },
      tokens: result.tokens,
      timing: { firstTokenMs, totalMs: roundTo(performance.now() - started, 2) },
      stop: result.stop,
      models: this.parts.models,
    };
    this.answers.push(answer);
    return answer;
  }

  private async speak(question: string, options: AskOptions): Promise<RoundsResult> {
    const { evidence, speaker } = this.parts;
    if (speaker === undefined) {
      const result = answerWithoutModel(evidence, question);
      options.onText?.(result.text, { round: 0 });
      return result;
    }
    const { signal } = this.disposal;
    try {
      return await answerInRounds({
        ...options,
        ...this.parts.options,
        speaker,
        evidence,
        question,
        history: this.answers.map((answer) => ({ question: answer.question, answer: answer.text })),
        signal: options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]),
      });
    } catch (error) {
      this.checkUsable(); // an answer that dispose() cut off was not aborted by its caller
      throw error;
    }
  }

  private async end(): Promise<void> {
    this.disposal.abort();
    await this.last;
    try {
      await this.parts.speaker?.dispose();
    } finally {
      this.parts.onDispose();
    }
  }

  private checkUsable(): void {
    if (!this.disposal.signal.aborted) return;
    throw new KfdError('ERR_KFD_DISPOSED', 'The dialogue was disposed.', { hint: 'Open a new one.' });
  }
}
