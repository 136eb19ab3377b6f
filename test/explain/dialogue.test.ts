import assert from 'node:assert/strict';
import { KfdError } from '../../lib/errors.js';
import type { AnswerRound } from '../../lib/explain/answerDocument.js';
import { Dialogue, type DialogueParts } from '../../lib/explain/dialogue.js';
import type { Evidence } from '../../lib/explain/evidence.js';
import type { SpeakRequest, Speaker, Spoken } from '../../lib/explain/speaker.js';

const EVIDENCE: Evidence = {
  score: 0.91,
  threshold: 0.72,
  verdict: 'fake',
  confidence: 'very',
  namedRegions: ['nose', 'left cheek'],
  regions: [],
  extent: 0.34,
};
const WHERE = 'Where was it manipulated?';
const TRUE_WHERE = 'The strongest traces are at the nose and the left cheek.';
const WRONG_WHERE = 'The strongest traces are at the right eye.';

/** Says the next of its lines, and keeps what it was asked. */
class ScriptedSpeaker implements Speaker {
  readonly conditioning = 'prompts';
  readonly asked: { question: string; history: string[] }[] = [];
  disposed = 0;

  constructor(
    private readonly lines: string[],
    private readonly delay = 0,
  ) {}

  async speak({ question, history, onText, signal }: SpeakRequest): Promise<Spoken> {
    this.asked.push({ question, history: history.flatMap((turn) => [turn.question, turn.answer]) });
    const text = this.lines.shift();
    assert.ok(text !== undefined, 'the script is at its end');
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
    if (signal?.aborted === true) throw new KfdError('ERR_KFD_ABORTED', 'aborted');
    for (const word of text.split(/(?<= )/)) onText?.(word);
    return { text, tokens: { prompt: 10, generated: 5 }, stop: 'end' };
  }

  dispose(): Promise<void> {
    this.disposed += 1;
    return Promise.resolve();
  }
}

function open(speaker: Speaker | undefined, parts: Partial<DialogueParts> = {}): Dialogue {
  return new Dialogue({
    evidence: EVIDENCE,
    speaker,
    fallback: null,
    models: { detector: null, languageModel: null, adapter: null, prompts: null },
    options: { maxRounds: 2, check: true },
    onDispose: () => undefined,
    ...parts,
  });
}

const withCode = (code: string) => (error: unknown) => error instanceof KfdError && error.code === code;

describe('dialogue', () => {
  it('gives a true answer as it was said, in one round', async () => {
    const speaker = new ScriptedSpeaker([TRUE_WHERE]);
    const heard: [string, number][] = [];
    const answer = await open(speaker).ask(`  ${WHERE} `, {
      onText: (text, { round }) => heard.push([text, round]),
    });
    assert.equal(answer.text, TRUE_WHERE);
    assert.equal(heard.map(([text]) => text).join(''), TRUE_WHERE);
    assert.ok(heard.every(([, round]) => round === 1));
    assert.deepEqual([answer.source, answer.rounds.length, answer.replaced], ['model', 1, []]);
    assert.equal(answer.question, WHERE);
    assert.ok(answer.claims.length > 0 && answer.claims.every(({ status }) => status === 'supported'));
    assert.ok(answer.timing.firstTokenMs !== null && answer.timing.firstTokenMs <= answer.timing.totalMs);
    assert.equal(answer.evidence.verdict, 'fake');
  });

  it('sends a contradicted answer back with the evidence, and forgets the exchange afterwards', async () => {
    const speaker = new ScriptedSpeaker([WRONG_WHERE, TRUE_WHERE, TRUE_WHERE]);
    const dialogue = open(speaker);
    const rounds: AnswerRound[] = [];
    const answer = await dialogue.ask(WHERE, { onRound: (round) => rounds.push(round) });
    assert.deepEqual([answer.text, answer.source, answer.replaced], [TRUE_WHERE, 'model', []]);
    assert.deepEqual(answer.rounds, rounds);
    assert.equal(rounds[0]?.text, WRONG_WHERE);
    assert.equal(rounds[0].contradicted, 1);
    assert.deepEqual(answer.tokens, { prompt: 20, generated: 10 });
    assert.match(
      speaker.asked[1]?.question ?? '',
      /not supported by the evidence.*the nose and the left cheek/,
    );
    assert.deepEqual(speaker.asked[1]?.history, [WHERE, WRONG_WHERE]);
    await dialogue.ask(WHERE);
    assert.deepEqual(speaker.asked[2]?.history, [WHERE, TRUE_WHERE]);
  });

  it('sends an answer back that leaves out a named region', async () => {
    const speaker = new ScriptedSpeaker(['The strongest traces are at the nose.', TRUE_WHERE]);
    const answer = await open(speaker).ask(WHERE);
    assert.deepEqual(answer.rounds[0]?.omitted, ['left cheek']);
    assert.deepEqual([answer.rounds.length, answer.text], [2, TRUE_WHERE]);
  });

  it('replaces what stays wrong after the last round, and says so', async () => {
    const speaker = new ScriptedSpeaker([WRONG_WHERE, `${WRONG_WHERE} The forgery score is 91%.`]);
    const answer = await open(speaker).ask(WHERE);
    assert.equal(answer.rounds.length, 2);
    assert.ok(answer.claims.every(({ status }) => status === 'supported'));
    assert.equal(answer.replaced[0]?.was, WRONG_WHERE);
    assert.equal(answer.replaced[0].now, TRUE_WHERE);
    assert.equal(answer.text, `${TRUE_WHERE} The forgery score is 91%.`);
    assert.equal(answer.source, 'mixed');
  });

  it('replaces an answer that drifts off, and one that is empty', async () => {
    for (const nonsense of ['This is a fictional character named Lemonade.', '']) {
      const answer = await open(new ScriptedSpeaker([nonsense, nonsense])).ask(WHERE);
      assert.deepEqual([answer.text, answer.source], [TRUE_WHERE, 'evidence']);
      assert.deepEqual(
        answer.replaced.map(({ was }) => was),
        [nonsense],
      );
    }
  });

  it('takes as many rounds as allowed and no more', async () => {
    for (const maxRounds of [1, 3]) {
      const speaker = new ScriptedSpeaker(Array<string>(3).fill(WRONG_WHERE));
      const answer = await open(speaker, { options: { maxRounds, check: true } }).ask(WHERE);
      assert.equal(answer.rounds.length, maxRounds);
      assert.equal(answer.text, TRUE_WHERE);
    }
  });

  it('only reports with check: false', async () => {
    const speaker = new ScriptedSpeaker([WRONG_WHERE]);
    const answer = await open(speaker, { options: { maxRounds: 2, check: false } }).ask(WHERE);
    assert.deepEqual([answer.text, answer.checked, answer.replaced], [WRONG_WHERE, false, []]);
    assert.equal(answer.claims[0]?.status, 'contradicted');
  });

  it('speaks from the evidence alone without a language model', async () => {
    const heard: number[] = [];
    const dialogue = open(undefined, { fallback: 'no model here' });
    const answer = await dialogue.ask(WHERE, { onText: (_, { round }) => heard.push(round) });
    assert.deepEqual(
      [answer.conditioning, answer.source, answer.text],
      ['sentences', 'evidence', TRUE_WHERE],
    );
    assert.deepEqual(
      [answer.fallback, answer.rounds, answer.timing.firstTokenMs],
      ['no model here', [], null],
    );
    assert.deepEqual(heard, [0]);
  });

  it('answers one question after the other', async () => {
    const speaker = new ScriptedSpeaker([TRUE_WHERE, 'This face looks fake: the forgery score is 91%.'], 5);
    const dialogue = open(speaker);
    await Promise.all([dialogue.ask(WHERE), dialogue.ask('Is it fake?')]);
    assert.deepEqual(speaker.asked[1]?.history, [WHERE, TRUE_WHERE]);
    assert.deepEqual(
      dialogue.history.map(({ question }) => question),
      [WHERE, 'Is it fake?'],
    );
  });

  it('keeps no aborted question, and goes on after it', async () => {
    const speaker = new ScriptedSpeaker([TRUE_WHERE, TRUE_WHERE], 20);
    const dialogue = open(speaker);
    const stop = new AbortController();
    const aborted = dialogue.ask(WHERE, { signal: stop.signal });
    stop.abort();
    await assert.rejects(aborted, withCode('ERR_KFD_ABORTED'));
    assert.deepEqual(dialogue.history, []);
    await dialogue.ask(WHERE);
    assert.equal(dialogue.history.length, 1);
    await assert.rejects(dialogue.ask(WHERE, { signal: AbortSignal.abort() }), withCode('ERR_KFD_ABORTED'));
  });

  it('dispose cuts an answer off, once, and nothing can be asked afterwards', async () => {
    const speaker = new ScriptedSpeaker([TRUE_WHERE], 20);
    let places = 1;
    const dialogue = open(speaker, { onDispose: () => (places -= 1) });
    const running = assert.rejects(dialogue.ask(WHERE), withCode('ERR_KFD_DISPOSED'));
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([dialogue.dispose(), dialogue.dispose()]);
    await running;
    assert.deepEqual([speaker.disposed, places], [1, 0]);
    await assert.rejects(dialogue.ask(WHERE), withCode('ERR_KFD_DISPOSED'));
  });

  it('refuses what is no question', async () => {
    const dialogue = open(undefined);
    for (const question of ['', '   ', 'x'.repeat(4001), 7 as unknown as string])
      await assert.rejects(dialogue.ask(question), withCode('ERR_KFD_INVALID_ARGUMENT'));
  });
});
