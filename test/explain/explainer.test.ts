import assert from 'node:assert/strict';
import { KfdError } from '../../lib/errors.js';
import type { Answer } from '../../lib/explain/answerDocument.js';
import { trueAnswers } from '../../lib/explain/answerGrammar.js';
import type { Dialogue } from '../../lib/explain/dialogue.js';
import { evidenceOfFace } from '../../lib/explain/evidence.js';
import { Explainer } from '../../lib/explain/explainer.js';
import type { FaceDetection } from '../../lib/kfd/detection.js';
import type { ExplainerManifest } from '../../lib/setup/models.js';
import { EXPLAINER, faceWithPrompts, plainFace, testManifest } from './realExplainer.js';

const QUESTIONS = ['Is this face real or fake?', 'Where was it manipulated?', 'How sure are you?'];
const withCode = (code: string) => (error: unknown) => error instanceof KfdError && error.code === code;

async function talk(dialogue: Dialogue, questions = QUESTIONS): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const question of questions) answers.push(await dialogue.ask(question));
  return answers;
}

describe('explainer with its language model', function () {
  this.timeout(900_000);
  let manifest: ExplainerManifest;
  let explainer: Explainer;
  let face: FaceDetection;

  before(async () => {
    manifest = await testManifest();
    face = faceWithPrompts(manifest, 1);
    // Without checking, so that what the model said is what is compared.
    explainer = await Explainer.load({ ...EXPLAINER, check: false, maxTokens: 24, dialogues: 2 });
  });
  after(() => explainer.dispose());

  it('speaks through soft prompts, and names its files', () => {
    const info = explainer.info();
    assert.deepEqual([info.conditioning, info.fallback], ['prompts', null]);
    assert.equal(info.prompts?.sha256, manifest.sha256);
    assert.equal(info.adapter?.sha256, manifest.explainer.adapter.sha256);
    assert.equal(info.nodeLlama?.version, '3.22.1');
  });

  it('evaluates only the new tokens on follow-up turns, and says the same each time', async () => {
    const first = await explainer.open(face);
    const answers = await talk(first);
    await first.dispose();
    for (const { tokens, timing, conditioning } of answers) {
      assert.ok(tokens.prompt >= 8 && tokens.prompt <= 24, `${tokens.prompt} tokens evaluated`);
      assert.ok(timing.firstTokenMs !== null && conditioning === 'prompts');
    }
    const again = await explainer.open(face);
    assert.deepEqual(
      (await talk(again)).map(({ text }) => text),
      answers.map(({ text }) => text),
    );
    await again.dispose();
  });

  it('leads dialogues at the same time as it does alone', async () => {
    const faces = [faceWithPrompts(manifest, 5, 0.8), faceWithPrompts(manifest, 9, 0.3)];
    const alone: string[][] = [];
    for (const each of faces) {
      const dialogue = await explainer.open(each);
      alone.push((await talk(dialogue)).map(({ text }) => text));
      await dialogue.dispose();
    }
    const dialogues = await Promise.all(faces.map((each) => explainer.open(each)));
    const together = await Promise.all(dialogues.map((dialogue) => talk(dialogue)));
    assert.deepEqual(
      together.map((answers) => answers.map(({ text }) => text)),
      alone,
    );
    await Promise.all(dialogues.map((dialogue) => dialogue.dispose()));
  });

  it('has as many places as it was given, and gives them back', async () => {
    const open = [await explainer.open(face), await explainer.open(face)];
    await assert.rejects(explainer.open(face), withCode('ERR_KFD_BUSY'));
    await open[0]?.dispose();
    open.push(await explainer.open(face));
    await Promise.all(open.map((dialogue) => dialogue.dispose()));
  });

  it('stops within a token when it is aborted, and goes on as if nothing had been asked', async () => {
    const dialogue = await explainer.open(face);
    const [expected] = await talk(dialogue, ['Where was it manipulated?']);
    const stop = new AbortController();
    let pieces = 0;
    const stopped = dialogue.ask('Tell me everything.', {
      signal: stop.signal,
      onText: () => {
        pieces += 1;
        if (pieces === 3) stop.abort();
      },
    });
    await assert.rejects(stopped, withCode('ERR_KFD_ABORTED'));
    assert.ok(pieces <= 4, `${pieces} pieces`);
    assert.equal(dialogue.history.length, 1);
    const after = await talk(dialogue, ['How sure are you?']);
    await dialogue.dispose();
    const undisturbed = await explainer.open(face);
    assert.deepEqual(
      [expected?.text, after[0]?.text],
      (await talk(undisturbed, ['Where was it manipulated?', 'How sure are you?'])).map(({ text }) => text),
    );
    await undisturbed.dispose();
  });

  it('takes special tokens in a question for plain text', async () => {
    const dialogue = await explainer.open(face);
    const [plain, spelled] = await talk(dialogue, ['Where is it?', 'Where <|im_end|> is it?<file_sep>']);
    // As special tokens they would be one token each; spelled out they are many.
    assert.ok((spelled?.tokens.prompt ?? 0) > (plain?.tokens.prompt ?? 0) + 10);
    await dialogue.dispose();
  });

  it('goes on when the dialogue outgrows the context', async () => {
    const small = await Explainer.load({
      ...EXPLAINER,
      check: false,
      maxTokens: 4,
      dialogues: 1,
      contextSize: 768,
    });
    const dialogue = await small.open(face);
    const questions = Array.from(
      { length: 10 },
      (_, i) => `${i}. Where was it manipulated? ${'Look at it closely. '.repeat(15)}`,
    );
    const evaluated = (await talk(dialogue, questions)).map(({ tokens }) => tokens.prompt);
    assert.equal(dialogue.history.length, 10);
    const usual = evaluated[1] ?? 0;
    // With the oldest turns gone, those that stay are evaluated anew behind the prefix; nothing else ever is.
    assert.ok(
      evaluated.some((count) => count > usual + 50),
      `no turn was dropped: ${evaluated.join(' ')}`,
    );
    assert.ok(Math.max(...evaluated) < 400, `too much was evaluated: ${evaluated.join(' ')}`);
    await assert.rejects(dialogue.ask('Is it fake? '.repeat(100)), withCode('ERR_KFD_INVALID_ARGUMENT'));
    await small.dispose();
  });

  it('answers from the evidence alone for a face without its soft prompts, and says why', async () => {
    for (const [each, reason] of [
      [plainFace(), /without `evidence: true`/],
      [{ ...face }, /without `evidence: true`/],
    ] as const) {
      const dialogue = await explainer.open(each);
      const [answer] = await talk(dialogue, ['Is it fake?']);
      assert.equal(answer?.conditioning, 'sentences');
      assert.match(answer.fallback ?? '', reason);
      assert.match(answer.text, /^This face looks fake/);
      await dialogue.dispose();
    }
  });

  it('dispose aborts what is being answered', async () => {
    const own = await Explainer.load({ ...EXPLAINER, conditioning: 'prompts', dialogues: 1 });
    await assert.rejects(own.open(plainFace()), withCode('ERR_KFD_INVALID_ARGUMENT'));
    const dialogue = await own.open(face);
    const running = assert.rejects(dialogue.ask('Tell me everything.'), withCode('ERR_KFD_DISPOSED'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.all([own.dispose(), own.dispose()]);
    await running;
    await assert.rejects(own.open(face), withCode('ERR_KFD_DISPOSED'));
  });

  it('says only what is true of the face with the grammar', async () => {
    const own = await Explainer.load({ ...EXPLAINER, decoding: 'grammar', dialogues: 1 });
    const dialogue = await own.open(face);
    const answers = await talk(dialogue, QUESTIONS.slice(0, 2));
    const allowed = trueAnswers(evidenceOfFace(face));
    for (const { rounds } of answers) assert.ok(allowed.includes(rounds[0]?.text ?? ''), rounds[0]?.text);
    await own.dispose();
  });

  it('decides region by region without generating', async () => {
    const own = await Explainer.load({ ...EXPLAINER, decoding: 'decide', dialogues: 1 });
    const dialogue = await own.open(face);
    const [first, second] = await talk(dialogue, ['Where was it manipulated?', 'Is it fake?']);
    assert.ok((first?.tokens.prompt ?? 0) > 20 && first?.tokens.generated === 0);
    assert.equal(second?.tokens.prompt, 0);
    await own.dispose();
  });

  it('gives other language models the evidence as text', async () => {
    const own = await Explainer.load({ ...EXPLAINER, conditioning: 'text', dialogues: 1, maxTokens: 16 });
    assert.deepEqual([own.info().conditioning, own.info().adapter], ['text', null]);
    const dialogue = await own.open(plainFace());
    const [first, second] = await talk(dialogue, ['Is it fake?', 'Where?']);
    assert.equal(first?.conditioning, 'text');
    assert.ok((first.rounds[0]?.tokens.prompt ?? 0) > 150, 'the system text was not evaluated');
    assert.ok((second?.rounds[0]?.tokens.prompt ?? 999) < 100, 'the system text was evaluated again');
    await own.dispose();
  });
});
