import assert from 'node:assert/strict';
import { PreparedFlow, type FlowContext } from '../../lib/daam/computeFlow.js';
import { flowSteps, type FlowStep } from '../../lib/daam/flowSteps.js';
import { stackArrays, type AttentionFlow } from '../../lib/daam/attentionFlow.js';
import { planFlow, type FlowOptions } from '../../lib/daam/options.js';
import { describeCompleteness, describeMilestones, summariseFlow } from '../../lib/daam/summary.js';
import { readTarget } from '../../lib/daam/target.js';
import { arrayOf, present, readCase, type ReferenceCase } from '../native/reference.js';
import { infoOf, RecordedFlow } from './recordedFlow.js';

/** What becomes of the engine's arrays, with arrays that PyTorch computed in float64. */

function contextOf(found: ReferenceCase): FlowContext {
  const model = { name: found.name, sha256: null, device: 'cpu', precision: 'fp32', maturity: null };
  const info = infoOf(found);
  return { info, model, input: { path: 'a.png', width: 9, height: 9 }, crop: null };
}

const TARGETS = [1, 3]; // logit:3 and probability:4

async function recorded(
  found: ReferenceCase,
  options: FlowOptions = {},
  image = 0,
): Promise<{ flow: AttentionFlow; steps: FlowStep[] }> {
  const names = TARGETS.map((target) => present(found.settings.get(`target.${target}.name`), 'name'));
  const plan = await planFlow(
    { targets: await Promise.all(names.map(readTarget)), ...options },
    infoOf(found),
  );
  const prepared = await PreparedFlow.run(
    new RecordedFlow(found, image, TARGETS),
    contextOf(found),
    plan,
    undefined,
  );
  const { blocks, prefixTokens, height, width } = (await prepared.compute()).grid;
  const steps: FlowStep[] = [];
  for await (const step of flowSteps(prepared, plan, { blocks, prefixTokens, height, width }))
    steps.push(step);
  return { flow: await prepared.compute(), steps };
}

/** A value of a reference array [L,T,B,...]. */
function at(found: ReferenceCase, name: string, ...index: number[]): number {
  const { shape, data } = arrayOf(found, name);
  return data[index.reduce((offset, i, axis) => offset * (shape[axis] ?? 1) + i, 0)] ?? NaN;
}

describe('daam: from the engine to maps', () => {
  const reference = readCase('daam_deeper');
  const info = infoOf(reference);

  it('takes the maps of the coefficients asked for, without prefix tokens', async () => {
    const kinds = [
      ['gradient', 'gradient', 'U_relu'],
      ['signed-gradient', 'gradient', 'U'],
      ['class-row', 'class-row', 'U_relu'],
      ['direct', 'direct', 'U'],
    ] as const;
    for (const [coefficients, native, array] of kinds) {
      const { flow } = await recorded(reference, { coefficients }, 1);
      assert.deepEqual([flow.grid.height, flow.grid.width, flow.grid.blocks], [8, 5, 6]);
      for (const [place, target] of TARGETS.entries()) {
        const { signed, blockMaps, accumulated, prefixMass, coefficients: C } = flow.target(place);
        let sum = 0;
        for (let block = 0; block < 6; block += 1) {
          const U = at(reference, `class.${native}.${array}`, block, target, 1, 1 + 17);
          assert.equal(signed[block]?.[17], U, coefficients);
          assert.equal(blockMaps[block]?.[17], Math.max(U, 0));
          sum += Math.max(U, 0);
          assert.ok(Math.abs((accumulated[block]?.[17] ?? NaN) - sum) < 1e-6 * Math.max(1, sum));
          assert.equal(prefixMass[block], at(reference, `class.${native}.${array}`, block, target, 1, 0));
          assert.equal(C?.[block]?.[5], at(reference, `class.${native}.C`, block, target, 1, 5));
        }
      }
    }
  });

  it('proves itself: the parts add up to the target, and U to <C, T>', async () => {
    for (const coefficients of ['gradient', 'direct'] as const) {
      const { flow } = await recorded(reference, { coefficients });
      const [logit, probability] = flow.targets;
      for (const target of flow.targets) {
        const { completeness, identityError } = target;
        assert.ok(identityError < 1e-5, `${identityError}`);
        assert.ok(completeness !== null);
        const scale = Math.max(
          ...Object.values(completeness).map((part) => (typeof part === 'number' ? Math.abs(part) : 0)),
        );
        assert.ok(Math.abs(completeness.residual) < 1e-5 * scale, `${completeness.residual}`);
        const parts = completeness.blocks.reduce((sum, block) => sum + block.patches, 0);
        assert.ok(Math.abs(parts - completeness.patches) < 1e-9);
      }
      assert.ok(Math.abs(logit?.completeness?.remainder ?? NaN) < 1e-5);
      assert.ok(Math.abs(probability?.completeness?.remainder ?? NaN) > 1e-3, 'not linear');
      assert.equal(logit?.y, at(reference, 'expected.logits', 0, 3));
    }
  });

  it('shows a broken engine: a wrong part is seen in the residual, a wrong total in the identity', async () => {
    const broken = readCase('daam_deeper');
    const mlp = arrayOf(broken, 'class.direct.mlp');
    mlp.data.fill(1);
    arrayOf(broken, 'class.gradient.total').data.fill(0);
    const { flow } = await recorded(broken);
    const { completeness, identityError } = flow.target();
    assert.ok(Math.abs(completeness?.residual ?? 0) > 1e-2);
    assert.ok(identityError > 1e-2);
  });

  it('gives per-head maps that add up, on request', async () => {
    const { flow } = await recorded(reference, { coefficients: 'direct', perHead: true });
    const { heads } = flow.target();
    assert.equal(heads?.length, 6);
    assert.equal(heads[0]?.length, info.heads);
    assert.equal(heads[2]?.[1]?.[4], Math.max(0, at(reference, 'class.direct.U_heads', 2, 1, 0, 1, 5)));
    assert.equal((await recorded(reference)).flow.target().heads, undefined);
  });

  it('refuses numbers that are none', async () => {
    const broken = readCase('daam_deeper');
    arrayOf(broken, 'class.gradient.U_relu').data[100] = NaN;
    await assert.rejects(recorded(broken), { code: 'ERR_KFD_NOT_FINITE' });
    const infinite = readCase('daam_deeper');
    arrayOf(infinite, 'expected.logits').data[3] = Infinity;
    await assert.rejects(recorded(infinite), { code: 'ERR_KFD_NOT_FINITE' });
  });

  it('gives zeros and no NaN where there is no relevance', async () => {
    const empty = readCase('daam_deeper');
    for (const [name, { data }] of empty.arrays) if (name.startsWith('class.')) data.fill(0);
    const { flow } = await recorded(empty);
    const document = JSON.stringify(flow);
    assert.ok(!/NaN|null,"ninety":[0-9]/.test(document));
    const { milestones, share, identityError } = flow.target();
    assert.deepEqual(
      [milestones, share, identityError],
      [{ half: null, ninety: null }, [0, 0, 0, 0, 0, 0], 0],
    );
    assert.ok(flow.render({ style: 'linear' }).every((levels) => levels.every((level) => level === 0)));
    assert.match(describeMilestones(flow.target()), /no positive relevance/);
  });

  it('is a document kfd.daam/1', async () => {
    const { flow } = await recorded(reference);
    const document = JSON.parse(JSON.stringify(flow)) as ReturnType<AttentionFlow['toJSON']>;
    assert.equal(document.schema, 'kfd.daam/1');
    assert.deepEqual(document.grid, [8, 5]);
    const [first, second] = document.flows;
    assert.deepEqual([first?.target.name, second?.target.name], ['logit:3', 'probability:4']);
    assert.equal(first?.target.index, 3);
    assert.equal(first.accumulated[5]?.length, 8);
    assert.equal(first.accumulated[5][0]?.length, 5);
    assert.equal(Math.fround(first.signed[2]?.[3]?.[2] ?? NaN), flow.target().signed[2]?.[17]);
    assert.ok(Math.abs(first.share.reduce((a, b) => a + b, 0) - 1) < 1e-9);
    assert.equal(first.agreement.iou.at(-1), 1);
    assert.equal(first.agreement.spearman.at(-1), 1);
    assert.ok((first.agreement.spearman[0] ?? 2) < 1);
    assert.throws(() => flow.target('logit:9'), { code: 'ERR_KFD_INVALID_ARGUMENT' });
    assert.throws(() => flow.render({ style: 'other' as 'linear' }), { code: 'ERR_KFD_INVALID_ARGUMENT' });
  });

  it('has the arrays of the .npz, also for a batch', async () => {
    const first = (await recorded(reference, { coefficients: 'direct' }, 0)).flow.arrays();
    const second = (await recorded(reference, { coefficients: 'direct' }, 1)).flow.arrays();
    const batch = stackArrays([first, second]);
    const shapes = Object.fromEntries(Object.entries(batch).map(([name, { shape }]) => [name, shape.join()]));
    const map = '2,6,8,5';
    assert.deepEqual(shapes, {
      y: '2',
      C: '2,6,36',
      U: map,
      L: map,
      accumulated: map,
      prefix_mass: '2,6',
      linear: map,
      sigmoid: map,
      patches: '2,6',
      attention_bias: '2,6',
      mlp: '2,6',
      embedding: '2',
      norm_bias: '2',
      head_bias: '2',
      value: '2',
      sum: '2',
      residual: '2',
    });
    const size = 6 * 8 * 5;
    assert.deepEqual(batch['U']?.data.slice(size), second['U']?.data);
    assert.ok(batch['sigmoid']?.data instanceof Uint8Array);
    assert.ok(!('patches' in (await recorded(reference)).flow.arrays()));
    const levels = readCase('daam_plain');
    const plain = (await recorded(levels)).flow.arrays('probability:4');
    const expected = present(levels.bytes.get('render.sigmoid'), 'render.sigmoid').data;
    const offset = 3 * 2 * 3 * 36;
    plain['sigmoid']?.data.forEach((level, cell) =>
      assert.ok(Math.abs(Number(level) - (expected[offset + cell] ?? NaN)) <= 1, `cell ${cell}`),
    );
  });

  it('comes block by block: the last first, direct the first first', async () => {
    const { flow, steps } = await recorded(reference, {});
    assert.deepEqual(
      steps.map(({ block }) => block),
      [5, 4, 3, 2, 1, 0],
    );
    assert.deepEqual(
      steps.map(({ last }) => last),
      [false, false, false, false, false, true],
    );
    const direct = await recorded(reference, { coefficients: 'direct' });
    assert.deepEqual(
      direct.steps.map(({ block }) => block),
      [0, 1, 2, 3, 4, 5],
    );
    for (const [computed, taken] of [
      [flow, steps],
      [direct.flow, direct.steps],
    ] as const) {
      for (const { block, targets } of taken) {
        for (const [place, { blockMap, signed, accumulated, prefixMass, y, target }] of targets.entries()) {
          const whole = computed.target(place);
          assert.deepEqual(
            [blockMap, signed, prefixMass, y, target],
            [whole.blockMaps[block], whole.signed[block], whole.prefixMass[block], whole.y, whole.name],
          );
          if (computed.coefficients === 'direct') assert.deepEqual(accumulated, whole.accumulated[block]);
          else assert.equal(accumulated, undefined);
        }
      }
    }
  });

  it('says in words when the decision forms, and what the split is', async () => {
    const { flow } = await recorded(reference, { coefficients: 'direct' });
    assert.match(
      describeMilestones(flow.target()),
      /^half of the mass by block \d of 6, nine tenths by block \d; block \d adds most \(\d+ %\)$/,
    );
    const words = describeCompleteness(flow.target());
    assert.match(words, /^exact split: patches [+-].*MLP [+-].* = [+-]\d.* \(residual -?\d\.\de[+-]\d+\)$/);
    assert.match(
      describeCompleteness(flow.target(1)),
      /^split of the first-order form: .* outside of any such sum: [+-]/,
    );
    const [summary] = summariseFlow(flow);
    assert.equal(summary?.target, 'logit:3');
    assert.ok(summary.completeness !== null && !('blocks' in summary.completeness));
    assert.ok(JSON.stringify(summary).length < 1500);
  });
});
