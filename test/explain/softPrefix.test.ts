import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { KfdError } from '../../lib/errors.js';
import { ChatSpeaker } from '../../lib/explain/llama/chatSpeaker.js';
import { ChatWindow } from '../../lib/explain/llama/chatWindow.js';
import type {
  ChatItem,
  ChatSession,
  ChatWrapper,
  Sequence,
  Token,
} from '../../lib/explain/llama/nodeLlama.js';
import { SoftPrefix } from '../../lib/explain/llama/softPrefix.js';

const PREFIX = [101, 102, 3, 103, 5, 6] as Token[];
const STATE = { key: 'k', tokens: PREFIX, bytes: Uint8Array.of(1, 2, 3, 4) };

/** A sequence without a model: it holds tokens and counts what was evaluated. */
class FakeSequence {
  contextTokens: Token[] = [];
  readonly tokenMeter = { usedInputTokens: 0, usedOutputTokens: 0 };
  readonly disposed = false;
  loads: { bytes: number[]; mode: number }[] = [];
  folder = '';

  clearHistory(): Promise<void> {
    this.contextTokens = [];
    return Promise.resolve();
  }

  loadStateFromFile(file: string): Promise<void> {
    this.folder = path.dirname(file);
    this.loads.push({ bytes: [...readFileSync(file)], mode: statSync(this.folder).mode & 0o777 });
    this.contextTokens = [...PREFIX];
    return Promise.resolve();
  }

  evaluate(tokens: Token[]): void {
    let same = 0;
    while (same < tokens.length && tokens[same] === this.contextTokens[same]) same += 1;
    this.contextTokens = [...tokens];
    this.tokenMeter.usedInputTokens += tokens.length - same;
  }

  asSequence(): Sequence {
    return this as unknown as Sequence;
  }
}

const tokensOf = (text: string): Token[] => Array.from(text, (letter) => letter.charCodeAt(0) as Token);

/** Writes the prefix, then every item's text. */
const wrapper: ChatWrapper = {
  wrapperName: 'fake',
  generateContextState: ({ chatHistory }) => ({
    contextText: {
      tokenize: () => [
        ...PREFIX,
        ...chatHistory.flatMap((item) =>
          tokensOf(item.type === 'model' ? item.response.join('') : item.text),
        ),
      ],
    },
    stopGenerationTriggers: [],
  }),
};

/** Answers "ok". `beforeEvaluating` stands for what may happen to the sequence inside the other package. */
function fakeSession(sequence: FakeSequence, beforeEvaluating: () => void): ChatSession {
  let history: ChatItem[] = [];
  return {
    setChatHistory: (items) => {
      history = items;
    },
    promptWithMeta: (question) => {
      beforeEvaluating();
      const chatHistory: ChatItem[] = [...history, { type: 'user', text: question }];
      sequence.evaluate(wrapper.generateContextState({ chatHistory }).contextText.tokenize(tokensOf));
      sequence.tokenMeter.usedOutputTokens += 2;
      return Promise.resolve({ responseText: 'ok', stopReason: 'eogToken' });
    },
    dispose: () => undefined,
  };
}

function speakerOn(sequence: FakeSequence, beforeEvaluating = (): void => undefined): ChatSpeaker {
  const limits = { contextSize: 200, reserve: 40, question: 60 };
  return new ChatSpeaker({
    conditioning: 'prompts',
    session: fakeSession(sequence, beforeEvaluating),
    sequence: sequence.asSequence(),
    window: new ChatWindow(wrapper, tokensOf, undefined, limits),
    maxTokens: 10,
    guard: new SoftPrefix(sequence.asSequence(), STATE),
  });
}

const withCode = (code: string) => (error: unknown) => error instanceof KfdError && error.code === code;

describe('soft prefix of a sequence', () => {
  it('is loaded once, from a private folder that is gone afterwards', async () => {
    const sequence = new FakeSequence();
    const speaker = speakerOn(sequence);
    const first = await speaker.speak({ history: [], question: 'why' });
    const next = await speaker.speak({ history: [{ question: 'why', answer: 'ok' }], question: 'how' });
    assert.deepEqual(sequence.loads, [{ bytes: [1, 2, 3, 4], mode: 0o700 }]);
    assert.ok(!existsSync(sequence.folder));
    assert.deepEqual([first.tokens.prompt, next.tokens.prompt], [3, 5]);
  });

  it('is loaded again when the sequence was cleared, or evaluated behind its back', async () => {
    const sequence = new FakeSequence();
    const speaker = speakerOn(sequence);
    await speaker.speak({ history: [], question: 'why' });
    await sequence.clearHistory();
    await speaker.speak({ history: [], question: 'why' });
    assert.equal(sequence.loads.length, 2);
    // The tokens look the same, but these placeholders were evaluated as ordinary tokens.
    await sequence.clearHistory();
    sequence.evaluate([...PREFIX, ...tokensOf('why')]);
    await speaker.speak({ history: [], question: 'why' });
    assert.equal(sequence.loads.length, 3);
  });

  it('throws an answer away that was made from placeholders, and asks once more', async () => {
    const sequence = new FakeSequence();
    let times = 0;
    const loseOnce = (): void => {
      times += 1;
      if (times === 1) sequence.contextTokens = [];
    };
    const spoken = await speakerOn(sequence, loseOnce).speak({ history: [], question: 'why' });
    assert.deepEqual([times, sequence.loads.length, spoken.tokens.prompt], [2, 2, 3]);
  });

  it('gives no answer at all when it is lost again', async () => {
    const sequence = new FakeSequence();
    const lose = (): void => {
      sequence.contextTokens = [];
    };
    const speaking = speakerOn(sequence, lose).speak({ history: [], question: 'why' });
    await assert.rejects(speaking, withCode('ERR_KFD_INTERNAL'));
  });

  it('refuses a state that is not the one it belongs to', async () => {
    const sequence = new FakeSequence();
    sequence.loadStateFromFile = () => Promise.resolve();
    const guard = new SoftPrefix(sequence.asSequence(), STATE);
    await assert.rejects(guard.ensure(), withCode('ERR_KFD_INTERNAL'));
  });
});

describe('window of a dialogue', () => {
  const turns = Array.from({ length: 12 }, (_, i) => ({ question: `question ${i}`, answer: 'a'.repeat(10) }));
  const window = (): ChatWindow =>
    new ChatWindow(wrapper, tokensOf, undefined, { contextSize: 200, reserve: 40, question: 60 });

  it('holds everything while it fits, then drops the oldest until half is free', () => {
    const one = window();
    assert.equal(one.fit(turns.slice(0, 7), 'why').before.length, 14);
    const { before, tokens } = one.fit(turns.slice(0, 8), 'why');
    assert.ok(tokens.length <= 80, `${tokens.length} tokens`);
    assert.deepEqual(before.at(-1), { type: 'model', response: ['a'.repeat(10)] });
    // What was dropped stays dropped, so that the next turn evaluates only what is new.
    const next = one.fit(turns.slice(0, 9), 'why');
    assert.deepEqual(next.before.slice(0, before.length), before);
    assert.deepEqual(next.tokens.slice(0, PREFIX.length), PREFIX);
  });

  it('refuses a question that is too long', () =>
    assert.throws(() => window().fit([], 'x'.repeat(61)), withCode('ERR_KFD_INVALID_ARGUMENT')));
});
