import { KfdError, throwIfAborted } from '../../errors.js';
import type { Evidence } from '../evidence.js';
import { answerFromEvidence } from '../sentences/answerFromEvidence.js';
import { capitalised, PART_NAMES, regionPhrase } from '../sentences/regionNames.js';
import type { SpeakRequest, Speaker, Spoken } from '../speaker.js';
import type { PrefixGuard } from './chatSpeaker.js';
import type { ChatItem, ChatWrapper, Model, Sequence, Token } from './nodeLlama.js';

export interface DecidingParts {
  conditioning: Speaker['conditioning'];
  model: Model;
  sequence: Sequence;
  wrapper: ChatWrapper;
  guard?: PrefixGuard | undefined;
  system?: string | undefined;
  evidence: Evidence;
}

/** From this probability on a region counts as marked. */
const DECIDED = 0.5;
const MOST_REGIONS = 3;

/**
 * The language model only decides, region by region, whether it is marked: the probability of "The nose is marked"
 * against "The nose is not". The sentences are the evidence's own, with the regions that it decided for. It decides once
 * a dialogue, at the first question.
 */
export class DecidingSpeaker implements Speaker {
  readonly conditioning: Speaker['conditioning'];
  private regions: readonly string[] | undefined;

  constructor(private readonly parts: DecidingParts) {
    this.conditioning = parts.conditioning;
  }

  async speak({ question, onText, signal }: SpeakRequest): Promise<Spoken> {
    const { sequence, evidence } = this.parts;
    const before = sequence.tokenMeter.usedInputTokens;
    this.regions ??= await this.decide(signal);
    const text = answerFromEvidence(question, { ...evidence, namedRegions: this.regions });
    onText?.(text);
    const prompt = sequence.tokenMeter.usedInputTokens - before;
    return { text, tokens: { prompt, generated: 0 }, stop: 'end' };
  }

  async dispose(): Promise<void> {
    if (!this.parts.sequence.disposed) await this.parts.sequence.dispose();
  }

  private async decide(signal: AbortSignal | undefined): Promise<string[]> {
    if (this.parts.evidence.verdict === 'real') return [];
    for (const whole of ['full face', 'center face']) {
      if ((await this.probability(whole, signal)) >= DECIDED) return [whole];
    }
    const found: { name: string; probability: number }[] = [];
    for (const name of PART_NAMES) {
      const probability = await this.probability(name, signal);
      if (probability >= DECIDED) found.push({ name, probability });
    }
    found.sort((a, b) => b.probability - a.probability);
    return found.slice(0, MOST_REGIONS).map(({ name }) => name);
  }

  /** Of "marked" among "marked" and "not" after "The nose is". */
  private async probability(region: string, signal: AbortSignal | undefined): Promise<number> {
    throwIfAborted(signal);
    const { model, wrapper, system } = this.parts;
    const phrase = regionPhrase(region);
    const chatHistory: ChatItem[] = [
      ...(system === undefined ? [] : [{ type: 'system' as const, text: system }]),
      { type: 'user', text: `Is ${phrase} manipulated?` },
      { type: 'model', response: [`${capitalised(phrase)} is`] },
    ];
    const tokens = wrapper.generateContextState({ chatHistory }).contextText.tokenize(model.tokenizer);
    const probabilities = await this.next(tokens);
    const of = (word: string): number => probabilities.get(model.tokenize(word)[0] ?? (-1 as Token)) ?? 0;
    const [marked, not] = [of(' marked'), of(' not')];
    return marked + not > 0 ? marked / (marked + not) : 0;
  }

  /** The distribution of the token after `tokens`; what the sequence holds of them already is not evaluated again. */
  private async next(tokens: Token[]): Promise<ReadonlyMap<Token, number>> {
    const { guard, sequence } = this.parts;
    await guard?.ensure();
    const before = sequence.tokenMeter.usedInputTokens;
    await sequence.adaptStateToTokens(tokens.slice(0, -1), false);
    const { firstDifferentIndex } = sequence.compareContextTokens(tokens);
    const rest = tokens.slice(firstDifferentIndex);
    const last = rest.pop();
    if (last === undefined) throw new KfdError('ERR_KFD_INTERNAL', 'A decision without a token to evaluate.');
    const results = await sequence.controlledEvaluate([
      ...rest,
      [last, { generateNext: { probabilities: true } }],
    ]);
    if (guard?.survived(sequence.tokenMeter.usedInputTokens - before, tokens) === false) {
      throw new KfdError('ERR_KFD_INTERNAL', 'The evidence was lost from the language model.', {
        hint: 'Please report this; the answer was withheld because it was not made from the evidence.',
      });
    }
    return results.at(-1)?.next.probabilities ?? new Map<Token, number>();
  }
}
