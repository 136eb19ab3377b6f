import assert from 'node:assert/strict';
import { KfdError } from '../../lib/errors.js';
import { correctionText } from '../../lib/explain/correction.js';
import { confidenceOf, type Evidence } from '../../lib/explain/evidence.js';
import { evidenceRows, prefixKey, prefixText, scoreRow } from '../../lib/explain/prefix.js';
import { textEvidence } from '../../lib/explain/textEvidence.js';

const FAKE: Evidence = {
  score: 0.987,
  threshold: 0.72,
  verdict: 'fake',
  confidence: confidenceOf(0.987, 0.72),
  namedRegions: ['nose', 'left cheek'],
  regions: [],
  extent: 0.344,
};
const REAL: Evidence = {
  ...FAKE,
  score: 0.6,
  verdict: 'real',
  confidence: 'not very',
  namedRegions: [],
  extent: 0,
};

describe('prefix of a dialogue', () => {
  it('is the text that explainers are trained with, to the letter', () => {
    assert.deepEqual(prefixText(FAKE), {
      head: '<Img>',
      middle:
        '</Img> According to deepfake prediction, the forgery score is 98%. From 72% on a face counts as fake, ' +
        'so this face is fake, very sure. The map marks 34% of the face. ',
    });
    assert.match(
      prefixText(REAL).middle,
      /score is 60%.*so this face is real, not very sure\. .* marks 0% of/,
    );
  });

  it('names no region: those are in the soft rows', () =>
    assert.doesNotMatch(prefixText(FAKE).middle, /nose|cheek/));

  it('is refused for a face without an extent', () =>
    assert.throws(
      () => prefixText({ ...FAKE, extent: null }),
      (error: unknown) => error instanceof KfdError && error.code === 'ERR_KFD_INVALID_ARGUMENT',
    ));

  it('ends with the score token, p(real) and p(fake) in turn', () => {
    assert.deepEqual([...scoreRow(0.75, 4)], [0.25, 0.75, 0.25, 0.75]);
    const rows = { visual: new Float32Array(2), forgery: Float32Array.of(1, 2, 3, 4), width: 2 };
    assert.deepEqual([...evidenceRows(rows, 0.75)], [1, 2, 3, 4, 0.25, 0.75]);
  });

  it('has a key that every file, number and row changes', () => {
    const parts = {
      languageModel: 'a',
      adapter: 'b',
      scale: 1,
      prompts: 'c',
      text: prefixText(FAKE),
      rows: [Float32Array.of(1, 2), Float32Array.of(3)],
    };
    const others = [
      { ...parts, languageModel: 'x' },
      { ...parts, adapter: 'x' },
      { ...parts, scale: 0.5 },
      { ...parts, prompts: 'x' },
      { ...parts, text: prefixText(REAL) },
      { ...parts, rows: [Float32Array.of(1, 2), Float32Array.of(3.5)] },
      { ...parts, rows: [Float32Array.of(9, 1, 2).subarray(0, 2), Float32Array.of(3)] },
    ];
    const keys = new Set([parts, ...others].map(prefixKey));
    assert.equal(keys.size, 1 + others.length);
    const view = Float32Array.of(9, 1, 2).subarray(1); // the same values in a larger buffer
    assert.equal(prefixKey({ ...parts, rows: [view, Float32Array.of(3)] }), prefixKey(parts));
  });
});

describe('evidence in words', () => {
  it('corrections state verdict, score, confidence, extent and regions', () => {
    assert.equal(
      correctionText(FAKE, 'Where?'),
      'That is not supported by the evidence. Evidence: the face is fake, the forgery score is 98%, very sure, ' +
        '34% of the face is marked, the regions named are the nose and the left cheek. Answer again: Where?',
    );
    assert.match(
      correctionText(REAL, 'Why?'),
      /0% of the face is marked, no region stands out\. Answer again: Why\?$/,
    );
  });

  it('the system text for other models gives every number and each named region', () => {
    const text = textEvidence(FAKE);
    for (const part of ['fake', '98%', '72%', 'very sure', 'the nose and the left cheek', '34%'])
      assert.ok(text.includes(part), part);
    assert.match(textEvidence({ ...REAL, extent: null }), /no region stands out/);
    assert.doesNotMatch(textEvidence({ ...REAL, extent: null }), /Extent/);
  });
});
