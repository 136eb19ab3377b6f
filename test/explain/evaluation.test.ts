import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { KfdError } from '../../lib/errors.js';
import type { Answer } from '../../lib/explain/answerDocument.js';
import type { ExaminedImage } from '../../lib/explain/evaluation/examine.js';
import {
  ExplainEvaluation,
  rowKey,
  type EvaluatedExplainer,
} from '../../lib/explain/evaluation/explainEvaluation.js';
import { FIGURES, setMeasure } from '../../lib/explain/evaluation/figures.js';
import type { Mode } from '../../lib/explain/evaluation/modes.js';
import { measureParallel, parallelTable } from '../../lib/explain/evaluation/parallel.js';
import {
  QUESTION_KINDS,
  readHeldOutWordings,
  readOwnQuestions,
  SCRIPT_LENGTH,
  scriptFor,
  type Wordings,
} from '../../lib/explain/evaluation/questions.js';
import { answerLines } from '../../lib/explain/evaluation/resultDocument.js';
import type { FaceRow } from '../../lib/explain/evaluation/rows.js';
import { summariseExplanations } from '../../lib/explain/evaluation/summary.js';
import { detectorLine, explainTable, kindTable } from '../../lib/explain/evaluation/summaryTable.js';
import { evidenceOfFace } from '../../lib/explain/evidence.js';
import { madeUpAnswer, madeUpFace } from './evaluationSamples.js';

const OPTIONS = { seed: 1, draws: 200 };

function examined(image: string, score: number, named: string[], masks: string[] | null): ExaminedImage {
  const face = madeUpFace(score, named);
  return {
    face,
    facts: {
      ...{ image, group: null, status: 'ok' as const, error: null },
      evidence: evidenceOfFace(face),
      maskParts: masks,
    },
  };
}

const NO_FACE: ExaminedImage = {
  face: undefined,
  facts: {
    image: 'none.png',
    group: null,
    status: 'no-face',
    error: null,
    evidence: null,
    maskParts: null,
  },
};

/** Says by question what it is told to; counts what is opened and closed. */
class ScriptedExplainer implements EvaluatedExplainer {
  open_ = 0;
  mostOpen = 0;
  opened = 0;
  disposed = false;

  constructor(private readonly textsOf: (question: string) => readonly string[]) {}

  open(face: Parameters<EvaluatedExplainer['open']>[0]) {
    assert.ok(!this.disposed);
    this.opened += 1;
    this.open_ += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open_);
    return Promise.resolve({
      ask: async (question: string): Promise<Answer> => {
        await new Promise((resolve) => setImmediate(resolve));
        return madeUpAnswer(evidenceOfFace(face), this.textsOf(question), question);
      },
      dispose: () => {
        this.open_ -= 1;
      },
    });
  }

  dispose(): Promise<void> {
    assert.equal(this.open_, 0, 'every dialogue was closed');
    this.disposed = true;
    return Promise.resolve();
  }
}

describe('explain evaluation: questions', () => {
  let wordings: Wordings;
  before(async () => {
    wordings = await readHeldOutWordings();
  });

  it('has wordings of every kind, none twice', () => {
    const all: string[] = [];
    for (const kind of QUESTION_KINDS.filter((name) => name !== 'own')) {
      const list = wordings[kind];
      const lists = 'fake' in list ? [list.fake, list.real] : [list];
      for (const texts of lists) {
        assert.ok(texts.length >= 3, kind);
        assert.equal(new Set(texts).size, texts.length, kind);
        for (const text of texts) {
          assert.equal(text.includes('{region}'), kind === 'region', text);
          assert.equal(text.includes('{part}'), kind === 'part', text);
        }
        all.push(...texts);
      }
    }
    assert.ok(all.length >= 100);
  });

  it('draws every kind for every face, by seed and face', () => {
    const face = { name: 'a.png', verdict: 'fake' as const, namedRegions: ['nose', 'left jaw'] };
    const script = scriptFor(face, wordings, 3).flat();
    assert.equal(script.length, SCRIPT_LENGTH);
    assert.ok(SCRIPT_LENGTH >= 20, '25 faces give 500 answers');
    const missing = QUESTION_KINDS.filter((kind) => !script.some((question) => question.kind === kind));
    assert.deepEqual(missing, ['thanks', 'own']);
    assert.deepEqual(script, scriptFor(face, wordings, 3).flat());
    assert.notDeepEqual(script, scriptFor(face, wordings, 4).flat());
    assert.notDeepEqual(script, scriptFor({ ...face, name: 'b.png' }, wordings, 3).flat());
    for (const { text } of script) assert.doesNotMatch(text, /[{}]/);
    assert.equal(new Set(script.map(({ text }) => text)).size, script.length, 'nothing is asked twice');
  });

  it('asks about regions of both answers, and misleads against the verdict', () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const regionsOf = (verdict: 'fake' | 'real', namedRegions: string[]) =>
        scriptFor({ name: 'a', verdict, namedRegions }, wordings, seed)
          .flat()
          .flatMap(({ region }) => region ?? []);
      const named = ['nose', 'left jaw'];
      const asked = regionsOf('fake', named);
      assert.equal(asked.length, 4);
      assert.ok(named.includes(asked[0] ?? ''), 'the first is to be affirmed');
      assert.equal(asked.filter((region) => named.includes(region)).length, 2);
      assert.ok(regionsOf('fake', ['full face']).every((region) => region !== 'full face'));
      const center = regionsOf('fake', ['center face']);
      assert.equal(center.filter((region) => /eye|nose/.test(region)).length, 2);
      assert.equal(regionsOf('real', []).length, 4);
      for (const verdict of ['fake', 'real'] as const) {
        for (const question of scriptFor({ name: 'a', verdict, namedRegions: [] }, wordings, seed).flat()) {
          if (question.kind !== 'leading') continue;
          assert.ok(wordings.leading[verdict].includes(question.text));
          const contrary =
            verdict === 'fake' ? /authentic|unedited|nobody|genuine|real/ : /fake|forged|manipul/;
          assert.match(question.text, contrary);
        }
      }
    }
  });

  it('reads own questions', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-questions-'));
    const file = path.join(folder, 'q.txt');
    await writeFile(file, '\nIs it fake?\r\nWhere?\r\n\r\n\n  Why?  \n');
    assert.deepEqual(
      (await readOwnQuestions(file)).map((lines) => lines.map(({ text, kind }) => `${kind}: ${text}`)),
      [['own: Is it fake?', 'own: Where?'], ['own: Why?']],
    );
    await writeFile(file, ' \n\n');
    await assert.rejects(readOwnQuestions(file), { code: 'ERR_KFD_NO_INPUT' });
    await assert.rejects(readOwnQuestions(path.join(folder, 'none')), { code: 'ERR_KFD_FILE_NOT_FOUND' });
    await assert.rejects(readOwnQuestions(folder), { code: 'ERR_KFD_FILE_READ' });
    await rm(folder, { recursive: true });
  });
});

describe('explain evaluation: run and summary', () => {
  const right = 'This face looks fake: the forgery score is 90%, and the strongest traces are at the nose.';
  const images = [
    examined('a.png', 0.9, ['nose'], ['nose', 'left eye']),
    NO_FACE,
    examined('b.png', 0.2, [], null),
  ];
  const script = [
    [
      { kind: 'verdict' as const, text: 'Is it fake?' },
      { kind: 'where' as const, text: 'Where?' },
      { kind: 'region' as const, text: 'And the nose?', region: 'nose' },
    ],
    [{ kind: 'unknown' as const, text: 'Who is it?' }],
  ];

  /** Right on a.png in the end; the first text names another region. On b.png the verdict stays wrong. */
  const textsOf = (question: string): string[] => {
    if (question === 'Is it fake?') return [right];
    if (question === 'Where?') {
      return ['The strongest traces are at the left eye.', 'The strongest traces are at the nose.'];
    }
    return question === 'And the nose?'
      ? ['The nose is marked as manipulated.']
      : ['I cannot tell that from the evidence.'];
  };

  async function run(modes: readonly Mode[], skip?: ReadonlySet<string>) {
    const explainers: ScriptedExplainer[] = [];
    const evaluation = new ExplainEvaluation(images, {
      modes,
      questions: { script },
      signal: undefined,
      load: () => {
        const explainer = new ScriptedExplainer(textsOf);
        explainers.push(explainer);
        return Promise.resolve(explainer);
      },
    });
    const rows: FaceRow[] = [];
    for await (const row of evaluation.rows(skip)) rows.push(row);
    return { rows, explainers };
  }

  it('asks every face in every mode, with one explainer a mode', async () => {
    const { rows, explainers } = await run(['full', 'sentences']);
    assert.deepEqual(rows.map(rowKey), ['full a.png', 'full b.png', 'sentences a.png', 'sentences b.png']);
    assert.deepEqual(
      explainers.map(({ opened, disposed }) => [opened, disposed]),
      [
        [4, true],
        [4, true],
      ],
    );
    assert.deepEqual(
      rows[0]?.dialogues.map(({ answers }) => answers.length),
      [3, 1],
    );
  });

  it('skips what is there, and loads nothing for a mode that is done', async () => {
    const { rows, explainers } = await run(
      ['full', 'sentences'],
      new Set(['full a.png', 'full b.png', 'sentences a.png']),
    );
    assert.deepEqual(rows.map(rowKey), ['sentences b.png']);
    assert.equal(explainers.length, 1);
  });

  it('closes dialogue and explainer when an answer fails', async () => {
    const explainer = new ScriptedExplainer(() => {
      throw new KfdError('ERR_KFD_ABORTED', 'stop');
    });
    const evaluation = new ExplainEvaluation(images, {
      ...{ modes: ['full'], questions: { script }, signal: undefined },
      load: () => Promise.resolve(explainer),
    });
    await assert.rejects(evaluation.rows().next(), { code: 'ERR_KFD_ABORTED' });
    assert.ok(explainer.disposed);
  });

  it('counts both rounds, with the checker and the judge', async () => {
    const { rows } = await run(['full']);
    const facts = images.map((image) => image.facts);
    const summary = summariseExplanations(facts, rows, ['full', 'sentences'], OPTIONS);
    assert.deepEqual([summary.images, summary.evaluated, summary.fake], [3, 2, 1]);
    assert.deepEqual(summary.regions, { 0: 1, 1: 1 });
    assert.equal(summary.modes.sentences, undefined);
    const { full } = summary.modes;
    assert.ok(full);
    assert.equal(full.answers, 8);
    const mean = (name: string) => full.figures[name]?.mean;
    // a.png: verdict right, where wrong then right, region right, refused; b.png: all three false, refused
    assert.equal(mean('verdict_end'), 0.5);
    assert.equal(mean('regions_precision_first'), 1 / 4); // found nose, left eye | nose, left eye
    assert.equal(mean('regions_recall_first'), 1 / 2);
    assert.equal(mean('regions_f1_first'), 2 / 6);
    assert.equal(mean('regions_precision_end'), 2 / 4);
    assert.equal(mean('regions_recall_end'), 1);
    assert.equal(mean('regions_f1_judge_end'), mean('regions_f1_end'));
    assert.equal(mean('region_question_end'), 1 / 2);
    assert.equal(mean('refused_end'), 1);
    assert.equal(mean('refused_wrongly_end'), 0);
    assert.equal(mean('to_the_point_end'), 7 / 8); // b.png: no region stands out, and one is named
    assert.equal(mean('second_round'), 2 / 8);
    assert.equal(full.unmarked, 3);
    assert.equal(mean('contradicted_first'), 4 / 8);
    assert.equal(mean('judge_faults_end'), 3 / 8);
    assert.equal(mean('missed_end'), 0);
    assert.equal(mean('mask_recall'), 1 / 2); // the nose of nose and left eye
    assert.equal(summary.detector.recall?.mean, 1 / 2);
    assert.equal(summary.detector.precision?.mean, 1);
    assert.deepEqual(full.kinds.where, {
      answers: 2,
      clean_first: 0,
      clean_end: 0.5,
      to_the_point_end: 0.5,
      regions_f1_first: 0, // the left eye twice, the nose once
      regions_f1_end: 2 / 3,
    });
    assert.equal(full.measurements['follow_up_ms']?.median, 500);
    assert.equal(full.measurements['follow_up_tokens']?.max, 12);
    assert.equal(full.measurements['first_token_ms']?.count, 4);
    assert.equal(full.measurements['tokens_per_second']?.median, 20 / 0.4);
    assert.deepEqual(summary.disagreements, []);
  });

  it('lists what judge and checker see differently', async () => {
    const { rows } = await run(['full']);
    const [first] = rows;
    const answer = first?.dialogues[0]?.answers[0];
    assert.ok(first && answer);
    const doubted = {
      ...answer,
      end: { ...answer.end, text: 'other', judge: { ...answer.end.judge, faults: ['verdict both'] } },
    };
    const row: FaceRow = { ...first, dialogues: [{ openMs: 1, answers: [doubted] }] };
    const facts = images.map((image) => image.facts);
    const { disagreements, modes } = summariseExplanations(facts, [row], ['full'], OPTIONS);
    assert.equal(disagreements.length, 1);
    assert.deepEqual(
      [disagreements[0]?.stage, disagreements[0]?.faults, disagreements[0]?.contradicted],
      ['end', ['verdict both'], 0],
    );
    assert.equal(modes.full?.figures['missed_end']?.mean, 1);
    assert.equal(modes.full.unmarked, 0);
  });

  it('becomes tables and lines', async () => {
    const { rows } = await run(['full', 'sentences']);
    const facts = images.map((image) => image.facts);
    const summary = summariseExplanations(facts, rows, ['full', 'sentences'], OPTIONS);
    const table = explainTable(summary);
    assert.deepEqual(table[0], ['figure', 'full', 'sentences']);
    assert.deepEqual(table[1], ['faces / answers', '2 / 8', '2 / 8']);
    assert.ok(table.every((row) => row.length === 3));
    const titles = new Set(table.map(([title]) => title));
    assert.equal(titles.size, table.length);
    assert.ok(titles.has('regions F1, round 1 (high)') && titles.has('open a dialogue (ms)'));
    assert.ok(!titles.has('confidence agrees, end (high)'), 'nothing was said of it');
    assert.deepEqual(kindTable(summary)[2], [
      'where',
      '0 -> 50, 50 of 2, F1 0.00',
      '0 -> 50, 50 of 2, F1 0.00',
    ]);
    assert.match(detectorLine(summary) ?? '', /precision 1\.000 \[.*recall 0\.500/);
    const lines = answerLines(rows, facts).trimEnd().split('\n');
    assert.equal(lines.length, 16);
    const line = JSON.parse(lines[1] ?? '') as Record<string, unknown>;
    assert.deepEqual(
      [line['image'], line['turn'], line['first'], line['answer'], line['rounds']],
      ['a.png', 1, 'The strongest traces are at the left eye.', 'The strongest traces are at the nose.', 2],
    );
  });

  it('holds dialogues side by side', async () => {
    const explainers: ScriptedExplainer[] = [];
    const face = images[0]?.face ?? madeUpFace(0.9);
    const plan = Array.from({ length: 8 }, () => ({ face, questions: script[0] ?? [] }));
    const rows = await measureParallel(
      plan,
      [1, 4],
      () => {
        const explainer = new ScriptedExplainer(textsOf);
        explainers.push(explainer);
        return Promise.resolve(explainer);
      },
      undefined,
    );
    assert.deepEqual(
      explainers.map(({ mostOpen, disposed }) => [mostOpen, disposed]),
      [
        [1, true],
        [4, true],
      ],
    );
    assert.deepEqual(
      rows.map(({ dialogues, answers }) => [dialogues, answers]),
      [
        [1, 24],
        [4, 24],
      ],
    );
    assert.equal(parallelTable(rows).length, 3);
  });

  it('measures sets of regions pooled', () => {
    assert.deepEqual(setMeasure('precision', ['a', 'b'], ['b', 'c', 'd']), { numerator: 1, denominator: 2 });
    assert.deepEqual(setMeasure('recall', ['a', 'b'], ['b', 'c', 'd']), { numerator: 1, denominator: 3 });
    assert.deepEqual(setMeasure('f1', ['a', 'b'], ['b', 'c', 'd']), { numerator: 2, denominator: 5 });
    assert.deepEqual(setMeasure('f1', [], []), { numerator: 0, denominator: 0 });
    assert.equal(new Set(Object.values(FIGURES).map(({ title }) => title)).size, Object.keys(FIGURES).length);
  });

  it('documents every mode, figure and kind', async () => {
    const page = await readFile('docs/explain-eval.md', 'utf8');
    for (const kind of QUESTION_KINDS) assert.ok(page.includes(`\`${kind}\``), kind);
  });
});
