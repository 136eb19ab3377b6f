import assert from 'node:assert/strict';
import { Engine, type EngineModel } from '../../lib/native/engine.js';
import { loadAddon } from '../../lib/native/loader.js';
import type { NativeImage, NativeModelOptions, NativeRequest } from '../../lib/native/types.js';
import { inputOf, modelOf, rampImage, readCase, slowTensor } from './reference.js';

const INVALID = { name: 'KfdError', code: 'ERR_KFD_INVALID_ARGUMENT' };

describe('native arguments', () => {
  const reference = readCase('vit_plain');
  const options: NativeModelOptions = { kind: 'vit', input: inputOf(reference) };
  const image = rampImage(20, 10);
  let engine: Engine;
  let model: EngineModel;
  before(async () => {
    engine = await Engine.create({ lanes: 1 });
    model = await engine.load(modelOf(reference), options);
  });
  after(() => engine.dispose());

  const detached = new Uint8Array(600);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const pixels = (data: unknown): unknown => ({ image: { ...image, data } });
  const requests: [string, unknown, RegExp][] = [
    ['nothing', {}, /exactly one of image and tensor for request but received/],
    ['both', { image, tensor: slowTensor(1) }, /exactly one of image and tensor/],
    ['an unknown key', { image, hook: {} }, /one of the keys image, crop, .* received 'hook' of type string/],
    ['a misspelt hook', { image, hooks: { clasToken: true } }, /request\.hooks but received 'clasToken'/],
    [
      'a hook of the wrong type',
      { image, hooks: { classToken: 1 } },
      /true or false for request\.hooks\.classToken/,
    ],
    [
      'too few pixels',
      { image: { ...image, width: 21 } },
      /= 630 bytes for request\.image\.data but received 600/,
    ],
    ['a negative width', { image: { ...image, width: -20 } }, /received -20 of type number/],
    ['a fractional height', { image: { ...image, height: 1.5 } }, /an integer .* request\.image\.height/],
    ['NaN', { image: { ...image, height: NaN } }, /an integer .* received NaN of type number/],
    ['pixels in a plain array', pixels([1, 2, 3]), /a Uint8Array of RGB pixels .* an array of 3 elements/],
    ['floats as pixels', pixels(new Float32Array(600)), /a Uint8Array of RGB pixels/],
    ['shared memory', pixels(new Uint8Array(new SharedArrayBuffer(600))), /not shared between threads/],
    [
      'resizable memory',
      pixels(new Uint8Array(Reflect.construct(ArrayBuffer, [600, { maxByteLength: 900 }]) as ArrayBuffer)),
      /fixed length \(the ArrayBuffer is resizable\)/,
    ],
    ['detached memory', pixels(detached), /not been transferred away/],
    ['a crop of five numbers', { image, crop: [1, 0, 0, 0, 1] }, /an array of 6 numbers for request\.crop/],
    [
      'a crop with infinity',
      { image, crop: [1, 0, 0, 0, 1, Infinity] },
      /a finite number for request\.crop\[5\]/,
    ],
    ['a crop of a tensor', { tensor: slowTensor(1), crop: [1, 0, 0, 0, 1, 0] }, /no crop beside a tensor/],
    [
      'a tensor of three dimensions',
      { tensor: { ...slowTensor(1), shape: [3, 48, 48] } },
      /a shape \[B, 3, H, W\]/,
    ],
    [
      'a tensor with too few values',
      { tensor: { ...slowTensor(1), shape: [2, 3, 48, 48] } },
      /as many values/,
    ],
    ['a double tensor', { tensor: { shape: [1, 3, 1, 1], data: new Float64Array(3) } }, /a Float32Array/],
    ['null', null, /an object for request/],
  ];
  for (const [what, request, message] of requests) {
    it(`run() refuses ${what}`, () =>
      assert.rejects(model.run(request as NativeRequest), { ...INVALID, message }));
  }

  it('run() refuses a tensor of another size than the network', () =>
    assert.rejects(model.run({ tensor: slowTensor(1, 40) }), INVALID));
  it('run() refuses a direction that does not fit', () =>
    assert.rejects(model.run({ image, hooks: { direction: new Float32Array(7) } }), INVALID));
  it('run() refuses a tap behind the last block', () =>
    assert.rejects(model.run({ image, hooks: { tokens: [3] } }), INVALID));
  it('preprocess() refuses a missing image', () =>
    assert.rejects(engine.preprocess(inputOf(reference), undefined as unknown as NativeImage), {
      ...INVALID,
      message: /an object for image/,
    }));
  it('blocks() refuses the same requests', () => assert.rejects(model.blocks({}).next(), INVALID));

  const load: [string, unknown, RegExp][] = [
    ['no kind', {}, /one of vit, kfd, module for options\.kind but received undefined/],
    ['an unknown kind', { kind: 'cnn' }, /received 'cnn' of type string/],
    ['an unknown precision', { ...options, precision: 'fp8' }, /one of fp32 for options\.precision/],
    ['heads 0', { ...options, heads: 0 }, /an integer from 1 .* options\.heads/],
    ['an unknown option', { ...options, head: 4 }, /'head'/],
    [
      'a std of 0',
      { ...options, input: { ...inputOf(reference), std: [1, 0, 1] } },
      /three positive numbers/,
    ],
    [
      'an unknown fit',
      { ...options, input: { ...inputOf(reference), fit: 'cover' } },
      /stretch, crop, letterbox/,
    ],
  ];
  for (const [what, wrong, message] of load) {
    it(`load() refuses ${what}`, () =>
      assert.rejects(engine.load(modelOf(reference), wrong as NativeModelOptions), { ...INVALID, message }));
  }

  it('load() refuses heads that contradict the module', () =>
    assert.rejects(engine.load(modelOf(reference), { ...options, heads: 5 }), {
      code: 'ERR_KFD_MODEL_MISMATCH',
    }));

  const refused = readCase('refused');
  it('load() refuses a frozen module and says how to save it', () =>
    assert.rejects(
      engine.load(modelOf(refused, 'frozen'), options),
      (error: { code: string; hint: string }) => {
        assert.equal(error.code, 'ERR_KFD_MODEL_UNSUPPORTED');
        assert.match(error.hint, /preserved_attrs|freez/);
        return true;
      },
    ));
  it('load() refuses a traced module without heads and names the manifest field', () =>
    assert.rejects(
      engine.load(modelOf(refused, 'traced'), options),
      (error: { code: string; hint: string }) => {
        assert.equal(error.code, 'ERR_KFD_MODEL_MISMATCH');
        assert.match(error.hint, /vit\.heads/);
        return true;
      },
    ));
  for (const name of ['garbage', 'truncated']) {
    it(`load() refuses a ${name} file`, () =>
      assert.rejects(engine.load(modelOf(refused).replace('scripted', name), options), {
        code: 'ERR_KFD_MODEL_LOAD',
      }));
  }
  it('load() refuses a device that is not there', () =>
    assert.rejects(engine.load(modelOf(reference), { ...options, device: 'cuda:99' }), {
      code: 'ERR_KFD_DEVICE',
    }));

  it('Engine.create() refuses senseless options', async () => {
    for (const wrong of [{ maxBatch: 0 }, { maxQueueItems: -1 }, { maxQueueBytes: 0.5 }, { lanes: 0 }]) {
      await assert.rejects(Engine.create(wrong), INVALID);
    }
  });

  it('native classes cannot be made or called from outside', async () => {
    const native = new (loadAddon().Executor)({
      lanes: 1,
      threadsPerLane: 1,
      maxBatch: 1,
      maxQueueItems: 1,
      maxQueueBytes: 1e6,
    });
    const nativeModel = await native.load(modelOf(reference), options);
    const ModelClass = nativeModel.constructor as new () => unknown;
    assert.throws(() => new ModelClass(), { code: 'ERR_KFD_INVALID_ARGUMENT', message: /executor\.load/ });
    const run = Reflect.get(nativeModel, 'run') as (request: unknown) => unknown;
    for (const receiver of [{}, native, Object.create(nativeModel) as object]) {
      assert.throws(() => Reflect.apply(run, receiver, [{ image }]), /Illegal invocation|a native Model/);
    }
    await native.shutdown();
  });

  it('survives getters that dispose the model and detach the pixels', async () => {
    const victim = await engine.load(modelOf(reference), options);
    const data = new Uint8Array(600);
    const nasty = {
      get tensor(): undefined {
        victim.dispose();
        structuredClone(data.buffer, { transfer: [data.buffer] });
        return undefined;
      },
      image: { ...image, data },
    } as unknown as NativeRequest;
    await assert.rejects(victim.run(nasty), { name: 'KfdError' });
  });
});
