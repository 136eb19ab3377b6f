import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { readNpzMembers, writeNpz } from '../../lib/data/npz.js';
import { parseNpyTexts } from '../../lib/data/npy.js';
import {
  checkBankModel,
  createMemoryBank,
  loadMemoryBank,
  neighbourWeights,
  saveMemoryBank,
  type MemoryBank,
} from '../../lib/daam/memoryBank.js';
import { KfdError } from '../../lib/errors.js';
import { arrayOf, readCase, relativeError } from '../native/reference.js';
import { take } from './recordedFlow.js';

const MODEL = { name: 'reference', sha256: 'ab'.repeat(32) };

const refusal = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof KfdError && error.code === code && pattern.test(error.message);

describe('daam: memory bank', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-bank-'));
  });
  after(() => rm(folder, { recursive: true }));

  const bankOf = (name: string): { bank: MemoryBank; reference: ReturnType<typeof readCase> } => {
    const reference = readCase(name);
    const bank = {
      features: arrayOf(reference, 'bank.bank'),
      labels: Int32Array.from(arrayOf(reference, 'bank.labels').data),
      names: ['a', 'b', 'c', 'd'],
      model: MODEL,
    };
    return { bank, reference };
  };

  for (const name of ['daam_plain', 'daam_deeper', 'daam_dinov2_like']) {
    it(`${name}: weights and winner of the vote are numpy's`, () => {
      const { bank, reference } = bankOf(name);
      for (const image of [0, 1]) {
        const feature = take(arrayOf(reference, 'bank.features'), 0, image).data;
        const { weights, label, indices, similarity } = neighbourWeights(bank, feature);
        const expected = take(arrayOf(reference, 'bank.weights'), 0, image);
        assert.ok(relativeError({ shape: [weights.length], data: weights }, expected) < 1e-5);
        assert.equal(label, arrayOf(reference, 'bank.winner').data[image]);
        assert.ok(indices.every((index) => bank.labels[index] === label) && indices.length <= 20);
        assert.ok(similarity <= 1);
        assert.deepEqual([Math.min(...weights), Math.max(...weights)], [0, 1]);
      }
    });
  }

  it('votes by hand: two near rows of one label beat a nearer one of another', () => {
    const unit = (degrees: number) =>
      Float32Array.of(Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180));
    const rows = [
      { feature: unit(1), name: 'one' },
      { feature: unit(3), name: 'two' },
      { feature: unit(-3), name: 'two' },
    ];
    const bank = createMemoryBank(rows, MODEL);
    const { label, indices, weights } = neighbourWeights(bank, Float32Array.of(5, 0));
    assert.deepEqual([label, [...indices].sort(), [...weights]], [1, [1, 2], [1, 0]]);
    const even = neighbourWeights(
      createMemoryBank([{ feature: Float32Array.of(1, 1), name: 'x' }], MODEL),
      Float32Array.of(2, 2),
    );
    assert.deepEqual([...even.weights], [1, 1], 'a constant gives ones, not NaN');
  });

  it('is written for numpy and read back', async () => {
    const file = path.join(folder, 'bank.npz');
    const rows = [
      { feature: Float32Array.of(3, 4), name: 'zebra' },
      { feature: Float32Array.of(0, -2), name: 'Ätna \u{1f30b}' },
      { feature: Float32Array.of(1, 0), name: 'zebra' },
    ];
    const bank = createMemoryBank(rows, MODEL);
    assert.deepEqual([...bank.features.data], [...Float32Array.of(0.6, 0.8, 0, -1, 1, 0)]);
    assert.deepEqual(
      [[...bank.labels], bank.names],
      [
        [0, 1, 0],
        ['zebra', 'Ätna \u{1f30b}'],
      ],
    );
    await saveMemoryBank(file, bank);
    assert.deepEqual(await loadMemoryBank(file), bank);
    const names = parseNpyTexts((await readNpzMembers(file)).get('names') ?? new Uint8Array());
    assert.deepEqual(names.data, bank.names);
  });

  it('refuses damaged and foreign banks', async () => {
    const file = path.join(folder, 'wrong.npz');
    const good = {
      features: { shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) },
      labels: { shape: [2], data: Float32Array.of(0, 1) },
      names: { shape: [2], data: ['a', 'b'] },
      model_name: { shape: [1], data: ['m'] },
      model_sha256: { shape: [1], data: [MODEL.sha256] },
    };
    await writeNpz(file, good);
    checkBankModel(await loadMemoryBank(file), MODEL.sha256);
    const wrong: [object, RegExp][] = [
      [{ labels: { shape: [1], data: Float32Array.of(0) } }, /2 labels but received 1/],
      [{ labels: { shape: [2], data: Float32Array.of(0, 2) } }, /labels from 0 to 1 but received 2/],
      [
        { features: { shape: [2, 2], data: Float32Array.of(1, 1, 0, 1) } },
        /unit length but row 0 has length 1.414/,
      ],
      [{ features: { shape: [2, 2], data: Float32Array.of(NaN, 1, 0, 1) } }, /row 0 has length NaN/],
      [{ features: { shape: [4], data: Float32Array.of(1, 0, 0, 1) } }, /shape \(M, D\)/],
      [{ names: { shape: [2], data: Float32Array.of(0, 1) } }, /expected texts/],
    ];
    for (const [changes, pattern] of wrong) {
      await writeNpz(file, { ...good, ...changes });
      await assert.rejects(loadMemoryBank(file), refusal('ERR_KFD_TENSOR_FORMAT', pattern));
    }
    const { names, ...without } = good;
    assert.equal(names.data.length, 2);
    await writeNpz(file, without);
    await assert.rejects(loadMemoryBank(file), refusal('ERR_KFD_TENSOR_FORMAT', /array 'names'/));
    const { bank } = bankOf('daam_plain');
    for (const sha256 of ['0'.repeat(64), null])
      assert.throws(
        () => checkBankModel(bank, sha256),
        refusal('ERR_KFD_MODEL_MISMATCH', /built with reference/),
      );
    assert.throws(
      () => neighbourWeights(bank, new Float32Array(7)),
      refusal('ERR_KFD_MODEL_MISMATCH', /width 48/),
    );
    assert.throws(() => createMemoryBank([], MODEL), refusal('ERR_KFD_NO_INPUT', /at least one/));
    for (const value of [0, NaN]) {
      const rows = [{ feature: Float32Array.of(value, 0), name: 'x' }];
      assert.throws(() => createMemoryBank(rows, MODEL), refusal('ERR_KFD_NOT_FINITE', /no direction/));
    }
  });
});
