import assert from 'node:assert/strict';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  defaultModel,
  readAnyManifest,
  readExplainerManifest,
  readModelManifest,
  requireModelManifest,
  verifyAdapter,
  verifyModel,
} from '../../lib/setup/models.js';
import { runCli } from '../cli/runCli.js';
import { sha256, temporaryFolder } from './fakeTorch.js';

const CONTENT = Buffer.from('prompts of nobody');
const ADAPTER = Buffer.from('an adapter to nothing');

const EXPLAINER = {
  template: 'kfd.prefix/1',
  detector: { name: 'mini', sha256: 'ab'.repeat(32) },
  languageModel: {
    name: 'Tiny-Instruct',
    file: 'Tiny.gguf',
    bytes: 12,
    sha256: 'cd'.repeat(32),
    package: 'llm-tiny==0.1.2',
    packageSha256: 'ef'.repeat(32),
    licence: 'Apache-2.0',
  },
  adapter: { file: 'tiny-lora.gguf', bytes: ADAPTER.length, sha256: sha256(ADAPTER), scale: 1 },
  promptTokens: 2,
  width: 16,
  placeholders: [3, 5, 6, 14],
};

const VALID = {
  schema: 'kfd.model/1',
  name: 'tiny',
  kind: 'explainer',
  file: 'tiny.pt',
  bytes: CONTENT.length,
  sha256: sha256(CONTENT),
  licence: 'Apache-2.0',
  source: 'a test',
  maturity: 'demonstration',
  training: { seed: 1 },
  explainer: EXPLAINER,
};

describe('manifests of explainers', () => {
  let folder: string;
  let remove: () => void;
  let model: string;
  let adapter: string;
  let manifestFile: string;

  const write = (content: unknown): void => writeFileSync(manifestFile, JSON.stringify(content));

  beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    model = path.join(folder, 'tiny.pt');
    adapter = path.join(folder, 'tiny-lora.gguf');
    manifestFile = path.join(folder, 'tiny.kfd.json');
    writeFileSync(model, CONTENT);
    writeFileSync(adapter, ADAPTER);
    write(VALID);
  });
  afterEach(() => remove());

  it('read the same from the file and from the manifest, with absolute paths', async () => {
    const manifest = await readExplainerManifest(model);
    assert.deepEqual(await readExplainerManifest(manifestFile), manifest);
    assert.deepEqual(manifest, {
      ...VALID,
      metrics: {},
      manifestPath: manifestFile,
      modelPath: model,
      adapterPath: adapter,
    });
    await verifyModel(manifest);
    await verifyAdapter(manifest);
  });

  const explainer = (change: object): object => ({ explainer: { ...EXPLAINER, ...change } });
  const languageModel = (change: object): object =>
    explainer({ languageModel: { ...EXPLAINER.languageModel, ...change } });
  const lora = (change: object): object => explainer({ adapter: { ...EXPLAINER.adapter, ...change } });
  const mistakes: [string, object, RegExp][] = [
    ['no explainer part', { explainer: undefined }, /"explainer": expected an object, received nothing/],
    ['no maturity', { maturity: undefined }, /"maturity": expected one of "demonstration"/],
    ['no licence', { licence: '' }, /"licence": expected a text that is not empty/],
    ['a path as file', { file: 'a/tiny.pt' }, /"file": expected a file name without a folder/],
    ['another template', explainer({ template: 'kfd.prefix/2' }), /"explainer\.template": expected one of/],
    ['no detector', explainer({ detector: undefined }), /"explainer\.detector": expected an object/],
    [
      'a detector without hash',
      explainer({ detector: { name: 'mini' } }),
      /"explainer\.detector\.sha256": expected 64 lower-case hexadecimal digits, received nothing/,
    ],
    ['a model without name', languageModel({ name: '' }), /"explainer\.languageModel\.name"/],
    ['a model in a folder', languageModel({ file: '../Tiny.gguf' }), /"explainer\.languageModel\.file"/],
    ['a model of no bytes', languageModel({ bytes: 0 }), /"explainer\.languageModel\.bytes"/],
    ['a short hash of the model', languageModel({ sha256: 'cd' }), /"explainer\.languageModel\.sha256"/],
    [
      'a package without version',
      languageModel({ package: 'llm-tiny' }),
      /"explainer\.languageModel\.package": expected a requirement NAME==VERSION, received "llm-tiny"/,
    ],
    [
      'a package that is an option',
      languageModel({ package: '--index-url==1' }),
      /"explainer\.languageModel\.package"/,
    ],
    [
      'no hash of the package',
      languageModel({ packageSha256: 1 }),
      /"explainer\.languageModel\.packageSha256"/,
    ],
    ['a model without licence', languageModel({ licence: undefined }), /"explainer\.languageModel\.licence"/],
    ['an adapter elsewhere', lora({ file: '/tmp/a.gguf' }), /"explainer\.adapter\.file"/],
    ['an adapter of half a byte', lora({ bytes: 0.5 }), /"explainer\.adapter\.bytes"/],
    ['an adapter without hash', lora({ sha256: undefined }), /"explainer\.adapter\.sha256"/],
    ['a negative scale', lora({ scale: -1 }), /"explainer\.adapter\.scale": expected a number from 0 to 100/],
    ['no prompts', explainer({ promptTokens: 0 }), /"explainer\.promptTokens": expected an integer from 1/],
    ['a broken width', explainer({ width: 57.6 }), /"explainer\.width": expected an integer from 1/],
    [
      'too few placeholders',
      explainer({ placeholders: [3, 5, 6] }),
      /"explainer\.placeholders": expected 4 distinct integers of at least 0, received \[3,5,6\]/,
    ],
    ['a placeholder twice', explainer({ placeholders: [3, 5, 5, 14] }), /"explainer\.placeholders"/],
    ['half a placeholder', explainer({ placeholders: [3, 5, 6.5, 14] }), /"explainer\.placeholders"/],
  ];
  for (const [name, change, message] of mistakes) {
    it(`${name}: the error names field, expected and received`, async () => {
      write({ ...VALID, ...change });
      await assert.rejects(readExplainerManifest(model), { code: 'ERR_KFD_MODEL_MANIFEST', message });
    });
  }

  it('are not taken for models that see pictures, nor those for explainers', async () => {
    await assert.rejects(readModelManifest(model), {
      code: 'ERR_KFD_MODEL_MISMATCH',
      message: /an explainer/,
    });
    assert.equal((await readAnyManifest(model)).kind, 'explainer');
    const detector = await defaultModel('detector');
    await assert.rejects(readExplainerManifest(detector.manifestPath), {
      code: 'ERR_KFD_MODEL_MISMATCH',
      message: /expected kind "explainer"/,
    });
    assert.deepEqual(
      await readAnyManifest(detector.manifestPath),
      await requireModelManifest(detector.modelPath),
    );
  });

  it('are wanted: a file without one, one of another file, and no file at all are refused', async () => {
    const other = path.join(folder, 'other.pt');
    copyFileSync(model, other);
    await assert.rejects(readExplainerManifest(other), {
      code: 'ERR_KFD_MODEL_MANIFEST',
      message: /no manifest/,
    });
    writeFileSync(path.join(folder, 'other.kfd.json'), JSON.stringify(VALID));
    await assert.rejects(readExplainerManifest(other), {
      code: 'ERR_KFD_MODEL_MANIFEST',
      message: /expected "other\.pt"/,
    });
    await assert.rejects(readExplainerManifest(path.join(folder, 'none.pt')), {
      code: 'ERR_KFD_MODEL_NOT_FOUND',
    });
  });

  it('catch a changed file, and a changed, cut or missing adapter', async () => {
    const manifest = await readExplainerManifest(model);
    writeFileSync(model, Buffer.from(CONTENT).fill('x', 3, 4));
    await assert.rejects(verifyModel(manifest), { code: 'ERR_KFD_MODEL_DIGEST' });
    writeFileSync(adapter, Buffer.from(ADAPTER).fill('x', 3, 4));
    await assert.rejects(verifyAdapter(manifest), {
      code: 'ERR_KFD_LANGUAGE_MODEL',
      message: new RegExp(`expected SHA-256 ${sha256(ADAPTER)}`),
    });
    writeFileSync(adapter, ADAPTER.subarray(1));
    await assert.rejects(verifyAdapter(manifest), {
      code: 'ERR_KFD_LANGUAGE_MODEL',
      message: /expected 21 bytes, received 20/,
    });
    rmSync(adapter);
    await assert.rejects(verifyAdapter(manifest), { code: 'ERR_KFD_LANGUAGE_MODEL', message: /not there/ });
    await assert.rejects(verifyAdapter(manifest, { signal: AbortSignal.abort() }));
  });

  it('are verified and shown by `kfd-native model`, with the adapter', async () => {
    assert.equal((await runCli(['model', 'verify', model])).code, 0);
    const { code, stdout } = await runCli(['model', 'info', model]);
    assert.equal(code, 0);
    for (const text of ['kfd.prefix/1', 'llm-tiny==0.1.2', VALID.sha256])
      assert.ok(stdout.includes(text), text);
    writeFileSync(adapter, 'other');
    const verified = await runCli(['model', 'verify', model]);
    assert.equal(verified.code, 3);
    assert.match(verified.stderr, /tiny-lora\.gguf: expected 21 bytes, received 5/);
  });

  it('the package ships none, or one whose files are what it says', async () => {
    const manifest = await defaultModel('explainer');
    if (manifest === undefined) return;
    await verifyModel(manifest);
    await verifyAdapter(manifest);
    assert.equal(manifest.explainer.detector.sha256, (await defaultModel('detector')).sha256);
  });
});
