import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findLanguageModel } from '../../lib/setup/languageModel.js';
import { testManifest } from './realExplainer.js';

describe('damaged, foreign and missing parts of the explainer', function () {
  this.timeout(600_000);
  let folder = '';
  let results: Record<string, string> = {};

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'kfd-explain-faults-'));
    const model = await findLanguageModel();
    assert.ok(model !== undefined, 'the default language model is not set up');
    const child = fileURLToPath(new URL('./faultsChild.js', import.meta.url));
    const { manifestPath } = await testManifest();
    // It rejects when the child crashes.
    const { stdout } = await promisify(execFile)(process.execPath, [child, folder, model.path, manifestPath]);
    results = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, string>;
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const EXPECTED: Record<string, RegExp> = {
    'garbage as text': /^ERR_KFD_LANGUAGE_MODEL: .*garbage\.gguf/,
    'truncated as text': /^ERR_KFD_LANGUAGE_MODEL: .*truncated\.gguf/,
    'adapter as text': /^ERR_KFD_LANGUAGE_MODEL: /,
    'truncated, auto': /^ERR_KFD_LANGUAGE_MODEL: .*truncated\.gguf/,
    'foreign with prompts': /^ERR_KFD_LANGUAGE_MODEL: .*was trained for SmolLM2-135M-Instruct/,
    'no such model': /^ERR_KFD_LANGUAGE_MODEL: Expected a GGUF file/,
    'no such manifest': /^ERR_KFD_MODEL_NOT_FOUND: /,
    'truncated adapter': /^ERR_KFD_LANGUAGE_MODEL: /,
    'garbage adapter': /^ERR_KFD_LANGUAGE_MODEL: /,
    'changed adapter': /^ERR_KFD_LANGUAGE_MODEL: .*expected \d+ bytes/,
    'missing, explicit': /^ERR_KFD_LLAMA_MISSING: /,
    'missing, auto': /^sentences: .*KFD_NODE_LLAMA_CPP/,
    'no temporary folder': /^ERR_KFD_FILE_WRITE: /,
    'a good one afterwards': /^prompts, sentences$/,
  };
  for (const [name, expected] of Object.entries(EXPECTED))
    it(name, () => assert.match(results[name] ?? 'not run', expected));
});
