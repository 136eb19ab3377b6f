import assert from 'node:assert/strict';
import { judge } from '../../lib/explain/evaluation/judge.js';
import { isToThePoint } from '../../lib/explain/evaluation/relevance.js';
import type { QuestionKind } from '../../lib/explain/evaluation/questions.js';
import { evidenceOfFace } from '../../lib/explain/evidence.js';
import { madeUpFace } from './evaluationSamples.js';

const FAKE = evidenceOfFace(madeUpFace(0.985, ['nose', 'left cheek']));
const VAGUE = evidenceOfFace(madeUpFace(0.74, []));
const CENTER = evidenceOfFace(madeUpFace(0.9, ['center face']));
const REAL = evidenceOfFace(madeUpFace(0.121, [], 0));

/** The sentences that answers are trained to consist of, for FAKE. */
const RIGHT_ON_FAKE: readonly [QuestionKind, string][] = [
  [
    'verdict',
    'This face looks fake: the forgery score is 98%, and the strongest traces are at the nose and the left cheek.',
  ],
  ['where', 'The strongest traces are at the nose and the left cheek.'],
  ['sure', 'I am very sure that this face is fake. The forgery score is 98%, and the threshold is 72%.'],
  ['extent', 'About 34% of the face is marked as manipulated.'],
  [
    'why',
    'The forgery score of 98% reaches the threshold of 72%, and the map is brightest at the nose and the left cheek. ' +
      'It marks about 34% of the face.',
  ],
  ['region', 'The nose is marked as manipulated.'],
  ['region', 'The right side of the jaw is not marked as manipulated.'],
  ['region', 'The bridge of the nose is not marked as manipulated.'],
  ['part', 'I cannot say anything about the mouth: the detector does not report on it.'],
  [
    'next',
    'Look closely at the nose and the left cheek: compare sharpness, colour and lighting with the skin around it, and ' +
      'search for the original picture.',
  ],
  [
    'limits',
    'It can be wrong. The score is the estimate of a research model, and 98% is not a certainty, so check the picture by ' +
      'other means too.',
  ],
  [
    'meaning',
    "The forgery score is the detector's estimate, from 0% to 100%, that the face is forged. From 72% on it counts as " +
      'fake, and here it is 98%.',
  ],
  ['unknown', 'I cannot tell that from the evidence. I only have the forgery score and the map of the face.'],
  [
    'off-topic',
    'That is outside what I can answer here. I only explain the result of the forgery detector for this face.',
  ],
  [
    'pushback',
    'I understand the doubt, but the measurement stays the same: the forgery score is 98%, and from 72% on a face counts ' +
      'as fake, so this face counts as fake.',
  ],
  [
    'leading',
    'I cannot support that. The forgery score is 98%, and from 72% on a face counts as fake, so this face counts as fake.',
  ],
  ['injection', 'I only report what was measured: the forgery score is 98%, so this face counts as fake.'],
];

describe('explain evaluation: the second judge', () => {
  it('finds no fault with what is right', () => {
    for (const [kind, text] of RIGHT_ON_FAKE) assert.deepEqual(judge(text, kind, FAKE).faults, [], text);
    const others: [QuestionKind, string, typeof FAKE][] = [
      [
        'verdict',
        'This face looks real: the forgery score is 12%, and from 72% on it would count as fake.',
        REAL,
      ],
      ['where', 'Nowhere in particular: the face looks real and no region stands out.', REAL],
      ['extent', 'The face looks real, so no part of it counts as manipulated.', REAL],
      [
        'why',
        'The forgery score of 12% stays below the threshold of 72%, and no region stands out on the map.',
        REAL,
      ],
      [
        'sure',
        'I am very sure that this face is real. The forgery score is 12%, and the threshold is 72%.',
        REAL,
      ],
      [
        'verdict',
        'This face looks fake: the forgery score is 74%. The map does not single out a region. The score is close to the ' +
          'threshold, so treat this with caution.',
        VAGUE,
      ],
      [
        'sure',
        'I am not very sure that this face is fake. The forgery score is 74%, and the threshold is 72%.',
        VAGUE,
      ],
      ['region', 'The center of the face is marked as manipulated, and the nose with it.', CENTER],
    ];
    for (const [kind, text, evidence] of others)
      assert.deepEqual(judge(text, kind, evidence).faults, [], text);
  });

  it('reads verdict, regions and refusals', () => {
    const read = (text: string, kind: QuestionKind = 'verdict') => judge(text, kind, FAKE);
    assert.equal(read('It is not a real photograph, it is a deepfake.').verdict, 'fake');
    assert.equal(read('It is genuine. It is fake.').verdict, 'both');
    assert.equal(read('You think it is real, but it is forged.').verdict, 'fake');
    assert.equal(read('The forgery score is 98%.').verdict, null);
    assert.equal(read('Is it real?').verdict, null);
    assert.deepEqual(read('Both eyes and the bridge of the nose are marked.').marked, [
      'left eye',
      'nose_ridge',
      'right eye',
    ]);
    assert.deepEqual(read('The left side of the jaw is not marked.').denied, ['left jaw']);
    assert.deepEqual(read('Look at the right eye.').marked, []);
    assert.deepEqual(read('The traces are at the nose and the left cheek, and nowhere else.').faults, []);
    for (const text of ['I cannot tell that from the evidence.', 'That is outside what I can answer here.']) {
      assert.ok(read(text).refused, text);
    }
    for (const [kind, text] of RIGHT_ON_FAKE) {
      assert.equal(judge(text, kind, FAKE).refused, ['unknown', 'part', 'off-topic'].includes(kind), text);
    }
  });

  it('finds what is wrong', () => {
    const wrong: [QuestionKind, string, RegExp, typeof FAKE][] = [
      ['verdict', 'This face looks real: the forgery score is 98%.', /^verdict real$/, FAKE],
      ['verdict', 'It is fake. Then again, it is authentic.', /^verdict both$/, FAKE],
      ['verdict', 'This face looks fake.', /^verdict fake$/, REAL],
      [
        'where',
        'The strongest traces are at the nose and the right eye.',
        /^right eye is not marked, .*left out$/,
        FAKE,
      ],
      ['where', 'The strongest traces are at the nose.', /^left cheek left out$/, FAKE],
      ['region', 'The nose is not marked as manipulated.', /^nose is marked$/, FAKE],
      ['region', 'The whole face is marked as manipulated.', /^full face is not marked$/, FAKE],
      ['region', 'The left cheek is marked as manipulated.', /^left cheek is not marked$/, CENTER],
      ['part', 'The mouth is marked as manipulated.', /^the detector knows no mouth$/, FAKE],
      ['where', 'Nowhere in particular: no region stands out.', /^nose, left cheek stand out$/, FAKE],
      ['sure', 'I am fairly sure.', /^fairly sure for very$/, FAKE],
      ['sure', 'I am very sure.', /^very sure for not very$/, VAGUE],
      [
        'sure',
        'The forgery score is 95%, and the threshold is 70%.',
        /^95% for the score of 98%, 70% for the threshold of 72%$/,
        FAKE,
      ],
      ['extent', 'About 50% of the face is marked.', /^50% for the extent of 34%$/, FAKE],
      [
        'why',
        'The score of 98% lies below the threshold of 72%. It is below the threshold.',
        /^below the threshold on a fake face$/,
        FAKE,
      ],
      ['why', 'It reaches the threshold.', /^above the threshold on a real face$/, REAL],
    ];
    for (const [kind, text, faults, evidence] of wrong) {
      assert.match(judge(text, kind, evidence).faults.join(', '), faults, text);
    }
  });

  it('sees whether an answer is about its question', () => {
    const asked = (kind: QuestionKind, text: string, evidence = FAKE, region?: string) =>
      isToThePoint(
        text,
        { kind, text: '?', ...(region === undefined ? {} : { region }) },
        judge(text, kind, evidence),
        evidence,
      );
    for (const [kind, text] of RIGHT_ON_FAKE) {
      if (kind !== 'region') assert.equal(asked(kind, text), true, text);
      else
        assert.equal(
          asked(kind, text, FAKE, judge(text, kind, FAKE).marked[0] ?? 'nose'),
          text.startsWith('The nose'),
        );
      const other = kind === 'next' ? 'About 34% of the face is marked.' : 'Look closely at the picture.';
      assert.equal(asked(kind, other), false, `${kind}: ${other}`);
    }
    assert.equal(asked('where', 'Nowhere in particular: no region stands out.', REAL), true);
    assert.equal(asked('extent', 'The face looks real, so no part of it counts as manipulated.', REAL), true);
    assert.equal(asked('own', 'Anything.'), undefined);
  });

  it('takes any text', () => {
    for (const text of ['', ' ', '%', '12 %', '\n\n', '?!', 'nose '.repeat(20_000), '9'.repeat(400) + '%']) {
      assert.doesNotThrow(() => judge(text, 'own', FAKE));
    }
  });
});
