import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, truncate } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Engine } from '../../lib/native/engine.js';
import { writeModelManifest } from '../../lib/setup/models.js';
import { VisionTransformer } from '../../lib/vit/visionTransformer.js';
import { arrayOf, inputOf, modelOf, rampImage, readCase, relativeError } from '../native/reference.js';

describe('vit: VisionTransformer', () => {
  const reference = readCase('vit_plain');
  const tensor = arrayOf(reference, 'image');
  let folder: string;
  let traced: string;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-vit-'));
    traced = path.join(folder, 'traced.pt');
    await copyFile(modelOf(reference, 'traced'), traced);
  });
  after(() => rm(folder, { recursive: true }));

  const writeManifest = (heads: number) =>
    writeModelManifest(
      traced,
      {
        name: 'reference',
        kind: 'vit',
        licence: 'Apache-2.0',
        source: 'python/oracles',
        input: inputOf(reference),
        vit: { heads, patch: 8, prefixTokens: 1, layerNormEps: 1e-6, activation: 'gelu', taps: [] },
      },
      true,
    );

  it('runs a scripted file without a manifest', async () => {
    await using vit = await VisionTransformer.load(modelOf(reference), {
      input: inputOf(reference),
      lanes: 1,
    });
    const { logits, arrays, timing } = await vit.run(tensor, { classAttention: true });
    assert.ok(relativeError(logits, arrayOf(reference, 'expected.logits')) < 1e-5);
    assert.ok(
      relativeError(arrays['class_attention'], arrayOf(reference, 'expected.class_attention')) < 1e-5,
    );
    assert.ok(timing.forwardMs > 0);
    assert.equal(vit.info().heads, 4);
    assert.equal(vit.info().kind, 'vit');
    assert.ok(vit.info().verificationError < 1e-4);
  });

  it('refuses a traced file without heads, takes them as an option', async () => {
    await assert.rejects(VisionTransformer.load(traced, { input: inputOf(reference) }), {
      code: 'ERR_KFD_MODEL_MISMATCH',
    });
    await using vit = await VisionTransformer.load(traced, { input: inputOf(reference), heads: 4 });
    assert.equal(vit.info().heads, 4);
  });

  it('takes heads and input from the manifest beside the file', async () => {
    await writeManifest(4);
    await using vit = await VisionTransformer.load(traced);
    assert.deepEqual([vit.info().inputWidth, vit.info().inputHeight, vit.info().heads], [48, 48, 4]);
    const { logits } = await vit.run(tensor);
    assert.ok(relativeError(logits, arrayOf(reference, 'expected.logits')) < 1e-5);
  });

  it('refuses a manifest that contradicts the module', async () => {
    await writeManifest(5); // does not divide the width of 48
    await assert.rejects(VisionTransformer.load(traced), { code: 'ERR_KFD_MODEL_MISMATCH' });
  });

  it('refuses a file that is not the one its manifest describes', async () => {
    const manifest = await writeManifest(4);
    await truncate(traced, manifest.bytes - 1);
    await assert.rejects(VisionTransformer.load(traced), { code: 'ERR_KFD_MODEL_DIGEST' });
    await copyFile(modelOf(reference, 'traced'), traced);
  });

  it('refuses a missing file', () =>
    assert.rejects(VisionTransformer.load(path.join(folder, 'none.pt')), {
      code: 'ERR_KFD_MODEL_NOT_FOUND',
    }));

  it('streams blocks of an image, and can be left', async () => {
    await using vit = await VisionTransformer.load(modelOf(reference), { input: inputOf(reference) });
    const seen: number[] = [];
    for await (const { block, arrays } of vit.blocks(rampImage(100, 60), { classToken: true })) {
      seen.push(block);
      assert.deepEqual(arrays['class_token']?.shape, [1, 48]);
      if (block === 1) break;
    }
    assert.deepEqual(seen, [0, 1]);
    const { logits } = await vit.run(rampImage(100, 60));
    assert.deepEqual(logits.shape, [1, 10]);
  });

  it('shares an engine, and leaves it running', async () => {
    await using engine = await Engine.create({ lanes: 1 });
    const input = inputOf(reference);
    const [first, second] = await Promise.all([
      VisionTransformer.load(modelOf(reference), { engine, input }),
      VisionTransformer.load(modelOf(reference), { engine, input }),
    ]);
    const [a, b] = await Promise.all([first.run(tensor), second.run(tensor)]);
    assert.deepEqual(a.logits, b.logits);
    await first.dispose();
    await first.dispose();
    await assert.rejects(first.run(tensor), { code: 'ERR_KFD_DISPOSED' });
    assert.deepEqual((await second.run(tensor)).logits, b.logits);
    assert.equal(second.stats().failed, 0);
  });
});
