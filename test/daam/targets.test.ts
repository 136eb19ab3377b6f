import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { formatNpy } from '../../lib/data/npy.js';
import { planFlow, planNotes, type FlowOptions, type PlannedModel } from '../../lib/daam/options.js';
import { readTarget, targetName, targetSlug, type FlowTarget } from '../../lib/daam/target.js';
import { resolveTarget, type ForwardOutputs } from '../../lib/daam/targetWeights.js';
import { KfdError } from '../../lib/errors.js';
import { arrayOf, present, readCase, relativeError } from '../native/reference.js';
import { take } from './recordedFlow.js';

const refusal = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof KfdError && error.code === code && pattern.test(error.message);

describe('daam: how targets are spelled', () => {
  let folder: string;
  let vector: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-target-'));
    vector = path.join(folder, 'my vector.npy');
    await writeFile(vector, formatNpy({ shape: [3], data: Float32Array.of(1, 2, 3) }));
  });
  after(() => rm(folder, { recursive: true }));

  it('reads and prints each of them', async () => {
    const spellings = [
      'max',
      'logit:281',
      'difference:281,282',
      'probability:0',
      'log-probability:7',
      'forgery',
      'class-token-forgery',
    ];
    for (const spelling of spellings) assert.equal(targetName(await readTarget(spelling)), spelling);
    for (const kind of ['feature', 'cosine']) {
      const target = await readTarget(`${kind}:${vector}`);
      assert.equal(targetName(target), `${kind}:${vector}`);
      assert.equal(targetSlug(target), `${kind}-my-vector`);
    }
    assert.equal(targetSlug(await readTarget('difference:2,7')), 'difference-2-7');
    assert.deepEqual(await readTarget(`feature:${vector}`), {
      kind: 'feature',
      weights: Float32Array.of(1, 2, 3),
      file: vector,
    });
  });

  it('says what is wrong with others', async () => {
    const wrong: [string, RegExp][] = [
      ['', /"" is not known/],
      ['maximum', /not known/],
      ['max:3', /takes nothing/],
      ['logit', /expected a class index/],
      ['logit:', /expected a class index/],
      ['logit:cat', /one class index .* "cat"/],
      ['logit:-1', /one class index/],
      ['logit:1.5', /one class index/],
      ['difference:1', /2 class indices/],
      ['difference:1,2,3', /2 class indices/],
      ['difference:4,4', /always 0/],
      ['feature', /path of an .npy/],
      ['bank:', /memory bank/],
    ];
    for (const [spelling, pattern] of wrong)
      await assert.rejects(readTarget(spelling), refusal('ERR_KFD_INVALID_ARGUMENT', pattern), spelling);
    await assert.rejects(
      readTarget(`feature:${folder}/none.npy`),
      refusal('ERR_KFD_FILE_NOT_FOUND', /does not exist/),
    );
    const matrix = path.join(folder, 'matrix.npy');
    await writeFile(matrix, formatNpy({ shape: [2, 2], data: new Float32Array(4) }));
    await assert.rejects(
      readTarget(`cosine:${matrix}`),
      refusal('ERR_KFD_TENSOR_FORMAT', /one finite vector/),
    );
    await writeFile(matrix, formatNpy({ shape: [2], data: Float32Array.of(1, NaN) }));
    await assert.rejects(readTarget(`cosine:${matrix}`), refusal('ERR_KFD_TENSOR_FORMAT', /not finite/));
  });
});

describe('daam: what targets weigh', () => {
  const reference = readCase('daam_plain');
  const outputs = (image: number): ForwardOutputs => ({
    kind: 'vit',
    logits: take(arrayOf(reference, 'expected.logits'), 0, image).data,
    feature: take(arrayOf(reference, 'expected.feature'), 0, image).data,
  });
  const spelled = (index: number) => present(reference.settings.get(`target.${index}.name`), 'name');
  const weightsOf = (index: number, image: number) =>
    take(arrayOf(reference, `target.${index}.weights`), 0, image);

  /** Spelled targets only: the vectors of the others are not in the reference but their derivatives are. */
  for (const index of [0, 1, 2, 3, 4]) {
    it(`${spelled(index)}: its derivative and value are those of autograd`, async () => {
      for (const image of [0, 1]) {
        const { native, value } = resolveTarget(await readTarget(spelled(index)), outputs(image));
        assert.equal(native.kind, 'logits');
        const expected = weightsOf(index, image);
        const weights = present(native.weights, 'weights');
        assert.ok(relativeError({ shape: [weights.length], data: weights }, expected) < 1e-5);
        const y = take(arrayOf(reference, 'expected.Y'), 0, index).data[image] ?? NaN;
        assert.ok(Math.abs((value ?? NaN) - y) < 1e-5 * Math.max(1, Math.abs(y)), `${value} is not ${y}`);
      }
    });
  }

  it('cosine: the derivative is that of central differences, on the output or on the feature', () => {
    const { logits = new Float32Array(), feature } = outputs(0);
    for (const space of [logits, feature]) {
      const vector = Float32Array.from(space, (_, k) => Math.sin(3 * k + 1));
      const target: FlowTarget = { kind: 'cosine', vector };
      const at = (moved: Float32Array) =>
        resolveTarget(
          target,
          space === logits
            ? { kind: 'vit', logits: moved, feature }
            : { kind: 'vit', logits, feature: moved },
        );
      const { native, value } = at(space);
      assert.equal(native.kind, space === logits ? 'logits' : 'feature');
      assert.ok(Math.abs(value ?? NaN) <= 1);
      const scale = Math.max(...space.map(Math.abs));
      for (const k of [0, 3, space.length - 1]) {
        const step = scale * 2 ** -9;
        const moved = [step, -step].map((by) => space.map((entry, j) => (j === k ? entry + by : entry)));
        const [up = space, down = space] = moved;
        const slope = ((at(up).value ?? NaN) - (at(down).value ?? NaN)) / ((up[k] ?? 0) - (down[k] ?? 0));
        assert.ok(Math.abs(slope - (native.weights?.[k] ?? NaN)) < 2e-4 / scale, `${slope}`);
      }
    }
  });

  it('refuses targets that do not fit the model', async () => {
    const vit = outputs(0);
    const detector: ForwardOutputs = { ...vit, kind: 'kfd', logits: undefined };
    const cases: [FlowTarget, ForwardOutputs, RegExp][] = [
      [await readTarget('logit:10'), vit, /a class from 0 to 9 but received 10/],
      [await readTarget('difference:1,99'), vit, /received 99/],
      [{ kind: 'feature', weights: new Float32Array(7) }, vit, /48 values but received 7/],
      [{ kind: 'cosine', vector: new Float32Array(7) }, vit, /10 or 48 values but received 7/],
      [{ kind: 'feature', weights: new Float32Array(48).fill(NaN) }, vit, /finite vector/],
      [{ kind: 'forgery' }, vit, /no forgery detector/],
      [{ kind: 'max' }, detector, /no class logits/],
      [{ kind: 'cosine', vector: new Float32Array(10) }, detector, /48 values but received 10/],
    ];
    for (const [target, given, pattern] of cases)
      assert.throws(() => resolveTarget(target, given), refusal('ERR_KFD_INVALID_ARGUMENT', pattern));
  });
});

describe('daam: choices', () => {
  const vit: PlannedModel = { kind: 'vit', features: [] };
  const detector: PlannedModel = { kind: 'kfd', features: [] };
  const pooled: PlannedModel = { kind: 'vit', features: ['average-pool'] };
  const bare: PlannedModel = { kind: 'vit', features: ['no-class-token'] };

  it('fits the model where nothing is asked for', async () => {
    const choices = async (model: PlannedModel, options: FlowOptions = {}) => {
      const { targets, coefficients, rows, completenessRows } = await planFlow(options, model);
      return [targets.map(targetName).join(), coefficients, rows, completenessRows];
    };
    assert.deepEqual(await choices(vit), ['max', 'gradient', 'class', 'class']);
    assert.deepEqual(await choices(pooled), ['max', 'gradient', 'all', 'all']);
    assert.deepEqual(await choices(detector), ['forgery', 'gradient', 'all', 'all']);
    assert.deepEqual(await choices(detector, { target: 'class-token-forgery' }), [
      'class-token-forgery',
      'gradient',
      'class',
      'class',
    ]);
    assert.deepEqual(await choices(detector, { rows: 'class' }), ['forgery', 'gradient', 'class', 'all']);
    assert.deepEqual(await choices({ kind: 'vit', features: ['attn-norm'] }), [
      'max',
      'gradient',
      'class',
      undefined,
    ]);
  });

  it('refuses what has no meaning', async () => {
    const wrong: [FlowOptions, PlannedModel, RegExp][] = [
      [{ target: 'max', targets: ['max'] }, vit, /received both/],
      [{ targets: [] }, vit, /received none/],
      [{ targets: ['logit:1', { kind: 'logit', index: 1 }] }, vit, /given twice/],
      [{ target: { kind: 'logit' } as unknown as FlowTarget }, vit, /field index is missing/],
      [{ target: { kind: 'cat' } as unknown as FlowTarget }, vit, /not known/],
      [{ targets: [null as unknown as FlowTarget] }, vit, /not known/],
      [{ coefficients: 'relu' as 'direct' }, vit, /gradient, signed-gradient, class-row, direct/],
      [{ rows: 'some' as 'all' }, vit, /class, all/],
      [{ rows: 'class' }, bare, /no class token/],
      [{ coefficients: 'class-row', rows: 'all' }, vit, /rows of the class token only/],
      [{ coefficients: 'class-row' }, detector, /reads patch tokens/],
      [{ coefficients: 'direct', rows: 'class' }, detector, /nothing in the class rows/],
    ];
    for (const [options, model, pattern] of wrong)
      await assert.rejects(planFlow(options, model), refusal('ERR_KFD_INVALID_ARGUMENT', pattern));
  });

  it('notes what a reader must know', async () => {
    const notes = async (options: FlowOptions, model = vit) =>
      planNotes(await planFlow(options, model)).join(' ');
    assert.match(await notes({}), /written down/);
    assert.equal(await notes({ coefficients: 'direct' }), '');
    assert.match(await notes({ coefficients: 'class-row' }), /poor in early/);
    assert.match(await notes({ rows: 'class' }, detector), /class rows show only/);
    assert.match(await notes({ target: 'probability:1', coefficients: 'direct' }), /no linear form/);
    assert.match(
      await notes({ coefficients: 'signed-gradient' }, { kind: 'vit', features: ['attn-norm'] }),
      /attn.norm/,
    );
  });
});
