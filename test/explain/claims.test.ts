import assert from 'node:assert/strict';
import { checkClaims } from '../../lib/explain/claims/checkClaims.js';
import { CLAIM_TOLERANCES } from '../../lib/explain/claims/thresholds.js';
import { EVIDENCE } from './claimEvidence.js';
import * as corpus from './claimCorpus.js';
import { evidenceWith } from './claimEvidence.js';
import { Random } from '../../lib/faithfulness/random.js';

const SIGNS = { supported: '+', contradicted: '-', 'not checkable': '?' } as const;

/** The corpus's shorthand of what the checker finds. */
function summary(evidence: corpus.CorpusRow[0], text: string, question?: string): string[] {
  const { claims, omitted } = checkClaims(
    text,
    EVIDENCE[evidence],
    question === undefined ? {} : { question },
  );
  return [
    ...claims.map(
      ({ kind, status, polarity, value }) =>
        `${SIGNS[status]}${polarity === 'denied' ? ' not' : ''} ${kind}${value === null ? '' : ` ${value}`}`,
    ),
    ...omitted.map((name) => `omits ${name}`),
  ];
}

describe('explain: claims of a text', () => {
  for (const [name, rows] of Object.entries(corpus))
    describe(name, () => {
      for (const [evidence, text, expected, question] of rows)
        it(`${evidence}: ${JSON.stringify(text)}${question === undefined ? '' : ` to ${question}`}`, () => {
          assert.deepEqual(summary(evidence, text, question), expected);
        });
    });

  it('gives offsets that cut the claim out of the text, in order, with the sentence', () => {
    const text = '«Ünï» 😀 the face is fake.  The nose is\nmarked; the score is 91%. No region stands out.';
    const { claims } = checkClaims(text, EVIDENCE.nose);
    assert.deepEqual(
      claims.map((claim) => [claim.sentence, text.slice(claim.start, claim.end)]),
      [
        [0, 'fake'],
        [1, 'nose'],
        [1, '91%'],
        [2, 'region'],
      ],
    );
    for (const claim of claims) assert.equal(claim.text, text.slice(claim.start, claim.end));
  });

  it('gives the numbers that a claim was compared with, and why', () => {
    const [score, region] = checkClaims('The score is 95%. The left eye is altered.', EVIDENCE.nose).claims;
    assert.deepEqual(score?.evidence, { score: 0.918 });
    assert.equal(score.reason, 'The forgery score is 91%.');
    assert.deepEqual(region?.evidence, {
      region: 'left eye',
      named: false,
      mean: 0.1,
      namedRegions: ['nose'],
    });
    assert.equal(region.reason, 'The detector names the nose.');
  });

  it('holds the tolerances at their edges', () => {
    const status = (text: string, score = 0.9, extent = 0.4) =>
      checkClaims(text, evidenceWith(score, ['nose'], extent)).claims[0]?.status;
    const { score, extent } = CLAIM_TOLERANCES;
    assert.equal(status(`The score is ${90 + score}%.`), 'supported');
    assert.equal(status(`The score is ${90 + score + 1}%.`), 'contradicted');
    assert.equal(status(`The score is ${90 - score}%.`), 'supported');
    assert.equal(status(`The score is ${90 - score - 1}%.`), 'contradicted');
    assert.equal(status('The score is 98.7%.', 0.987), 'supported');
    assert.equal(status(`${40 + extent}% of the face is marked.`), 'supported');
    assert.equal(status(`${40 + extent + 1}% of the face is marked.`), 'contradicted');
    assert.equal(status('There are some traces at the left eye.'), 'contradicted');
    const lit = evidenceWith(0.9, ['nose'], 0.4, ['left eye']);
    assert.equal(checkClaims('There are some traces at the left eye.', lit).claims[0]?.status, 'supported');
  });

  it('never throws and keeps its promises on random texts', () => {
    const words = [
      ...corpus.VERDICT_ROWS.flatMap(([, text]) => text.split(' ')),
      ...corpus.REGION_ROWS.flatMap(([, text]) => text.split(' ')),
      ...corpus.NUMBER_ROWS.flatMap(([, text]) => text.split(' ')),
      ...[
        '\n',
        '"',
        '😀',
        '\ud800',
        'İ',
        '%',
        '1e999',
        '9'.repeat(400),
        '.',
        '?',
        '(',
        ':',
        "n't",
        '\0',
        'ﬀ',
        '-',
      ],
    ];
    const source = new Random(6);
    const random = () => source.next();
    const pick = () => words[Math.floor(random() * words.length)] ?? '';
    for (let round = 0; round < 2000; round += 1) {
      const text = Array.from({ length: Math.floor(random() * 25) }, pick).join(random() < 0.9 ? ' ' : '');
      const question = round % 3 === 0 ? Array.from({ length: 6 }, pick).join(' ') : undefined;
      const evidence = Object.values(EVIDENCE)[round % Object.keys(EVIDENCE).length] ?? EVIDENCE.nose;
      const { claims } = checkClaims(text, evidence, question === undefined ? {} : { question });
      for (const claim of claims) {
        assert.equal(claim.text, text.slice(claim.start, claim.end));
        assert.ok(claim.start < claim.end, JSON.stringify([text, claim]));
        assert.ok(claim.reason.endsWith('.'));
        assert.ok(typeof claim.value !== 'number' || Number.isFinite(claim.value));
      }
    }
  });

  it('takes time in proportion to the text', () => {
    const pieces = [
      'fake ',
      'not ',
      'the nose ',
      'nose, ',
      'it is ',
      '91% ',
      '. ',
      '- ',
      'a',
      'left and right ',
      'no region ',
      'sure ',
      'a.jpg',
      'below ',
      '"',
      ': ',
      '1.',
      '\n',
      'the face is fake, and ',
    ];
    for (const piece of pieces) {
      const cost = (size: number): number => {
        const text = piece.repeat(Math.ceil(size / piece.length));
        const start = process.cpuUsage();
        checkClaims(text, EVIDENCE.nose, { question: text });
        return process.cpuUsage(start).user / 1000;
      };
      cost(2000);
      const small = Math.min(cost(10_000), cost(10_000));
      const large = cost(80_000);
      // Eight times the text: 64 times the time would be quadratic.
      assert.ok(large < 24 * small + 200, `${JSON.stringify(piece)}: ${small} ms, then ${large} ms`);
    }
  });
});
