import assert from 'node:assert/strict';
import { KfdError } from '../../lib/errors.js';
import { answerGrammar, trueAnswers } from '../../lib/explain/answerGrammar.js';
import { checkClaims } from '../../lib/explain/claims/checkClaims.js';
import { evidenceOfFace } from '../../lib/explain/evidence.js';
import { Explainer } from '../../lib/explain/explainer.js';
import { resolveOptions } from '../../lib/explain/options.js';
import { plainFace } from './realExplainer.js';

describe('options of an explainer', () => {
  it('have documented defaults', () => {
    const { conditioning, maxRounds, check, decoding, dialogues, threads, maxTokens, contextSize, gpu } =
      resolveOptions({});
    assert.deepEqual(
      [conditioning, maxRounds, check, decoding, dialogues, threads, maxTokens, contextSize, gpu],
      ['auto', 2, true, 'free', 4, 1, 160, 1024, false],
    );
    assert.equal(resolveOptions({ decoding: 'decide', maxRounds: 3 }).maxRounds, 1);
  });

  const wrong: Record<string, unknown>[] = [
    { conditioning: 'prompt' },
    { maxRounds: 0 },
    { maxRounds: 1.5 },
    { check: 'yes' },
    { decoding: 'greedy' },
    { dialogues: 0 },
    { threads: -1 },
    { maxTokens: 300 },
    { contextSize: 512 },
    { gpu: true },
    { model: '' },
    { explainer: 7 },
  ];
  for (const options of wrong) {
    it(`refuse ${JSON.stringify(options)}`, async () => {
      const [name = ''] = Object.keys(options);
      await assert.rejects(
        Explainer.load(options),
        (error: unknown) =>
          error instanceof KfdError &&
          error.code === 'ERR_KFD_INVALID_ARGUMENT' &&
          error.message.includes(`Expected ${name} to be`),
      );
    });
  }

  it('sentences need nothing, and name no model', async () => {
    await using explainer = await Explainer.load({ conditioning: 'sentences', dialogues: 1 });
    assert.deepEqual([explainer.info().conditioning, explainer.info().languageModel], ['sentences', null]);
    // Without a language model there are no places to run out of.
    await using one = await explainer.open(plainFace());
    await using two = await explainer.open(plainFace(0.2), { detector: { name: 'd', sha256: 'ab' } });
    assert.match((await one.ask('Is it fake?')).text, /^This face looks fake/);
    const answer = await two.ask('Is it fake?');
    assert.match(answer.text, /^This face looks real/);
    assert.deepEqual([answer.models.detector?.name, answer.fallback], ['d', null]);
  });
});

describe('grammar of true answers', () => {
  it('admits nothing that the evidence contradicts', () => {
    for (const face of [plainFace(), { ...plainFace(), namedRegions: [] }, plainFace(0.1)]) {
      const evidence = evidenceOfFace(face);
      const answers = trueAnswers(evidence);
      assert.ok(answers.length > 20);
      for (const answer of answers)
        for (const claim of checkClaims(answer, evidence).claims)
          assert.notEqual(claim.status, 'contradicted', answer);
    }
  });

  it('is one rule of quoted literals', () =>
    assert.match(answerGrammar(evidenceOfFace(plainFace())), /^root ::= "[^"]+"( \| "[^"]+")+\n$/));
});
