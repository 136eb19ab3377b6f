import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { isNodeSupported, type Health } from '../../lib/setup/doctor.js';
import { runCli } from '../cli/runCli.js';
import { temporaryFolder, writeTorch } from './fakeTorch.js';

/** `npm test` has run `setup` before it comes here, so the real addon and the real libtorch are there. */
describe('kfd-native doctor', () => {
  let folder: string;
  let remove: () => void;
  beforeEach(() => ({ folder, remove } = temporaryFolder()));
  afterEach(() => remove());

  type Plain<T> = T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

  async function doctor(
    environment: Record<string, string> = {},
  ): Promise<{ code: number | null; health: Plain<Health> }> {
    const { code, stdout } = await runCli(['doctor', '--json'], { environment });
    return { code, health: JSON.parse(stdout) as Plain<Health> };
  }

  it('finds everything in order after set-up, and says what was chosen and why', async () => {
    const { code, health } = await doctor(
      process.env['KFD_LIBTORCH'] === undefined ? {} : { KFD_LIBTORCH: process.env['KFD_LIBTORCH'] },
    );
    assert.equal(health.schema, 'kfd.doctor/1');
    assert.deepEqual(
      health.models.map(({ ok }) => ok),
      [true, true],
    );
    assert.ok(health.loadTest.ok && health.loadTest.value.runtime.torchVersion.startsWith('2.'));
    assert.ok(health.addon.ok && health.addon.value.state === 'current', JSON.stringify(health.addon));
    assert.ok(health.threads.lanes >= 1 && health.threads.lanes <= health.cpu.cores);
    assert.equal(health.usable, true);
    assert.equal(code, 0);
  });

  it('finds the explainer in order after set-up: library, headers, language model, and all of it loads', async () => {
    const { explainer } = (await doctor()).health;
    assert.ok(explainer.nodeLlama.ok && explainer.nodeLlama.value.chosen?.version === '3.22.1');
    assert.equal(explainer.headers?.release, 'v0.5.0');
    assert.ok(explainer.languageModel.ok);
    assert.equal(explainer.languageModel.value?.name, 'SmolLM2-135M-Instruct');
    assert.equal(explainer.addonHasLlama, true);
    assert.ok(explainer.loadTest?.ok, JSON.stringify(explainer.loadTest));
    assert.match(explainer.loadTest.value.version, /^0\.5\.0/);
    assert.equal(explainer.loadTest.value.width, 576);
  });

  it('an explainer that is not set up is no fault; one that is named and wrong is, but verdicts work', async () => {
    const missing = (await doctor({ KFD_CACHE_DIR: path.join(folder, 'cache') })).health;
    assert.ok(missing.explainer.nodeLlama.ok && missing.explainer.nodeLlama.value.chosen === null);
    assert.ok(missing.explainer.languageModel.ok && missing.explainer.languageModel.value === null);
    assert.equal(missing.explainer.loadTest, null);
    assert.equal(missing.explainer.usable, false);
    const wrong = (await doctor({ KFD_NODE_LLAMA_CPP: folder })).health;
    assert.ok(!wrong.explainer.nodeLlama.ok);
    assert.equal(wrong.explainer.nodeLlama.error.code, 'ERR_KFD_LLAMA_MISSING');
    assert.deepEqual([missing.usable, wrong.usable], [true, true]);
  });

  it('explains each source that was passed over when there is none', async () => {
    const { health } = await doctor({ KFD_CACHE_DIR: path.join(folder, 'cache') });
    assert.ok(health.libtorch.ok);
    assert.equal(health.libtorch.value.chosen, null);
    assert.deepEqual(
      health.libtorch.value.skipped.map(({ source }) => source),
      ['explicit', 'python', 'cache'],
    );
  });

  it('an unusable explicit libtorch is a finding, not the end of the report', async () => {
    const { health } = await doctor({
      KFD_LIBTORCH: writeTorch(path.join(folder, 'old'), { version: '1.13.1' }),
    });
    assert.ok(!health.libtorch.ok);
    assert.equal(health.libtorch.error.code, 'ERR_KFD_LIBTORCH_MISMATCH');
    assert.ok(health.tools.length > 0);
  });

  it('an addon that does not load is found in a child, with exit code 1', async () => {
    const file = path.join(folder, 'broken.node');
    writeFileSync(file, 'no library');
    const { code, health } = await doctor({ KFD_ADDON: file });
    assert.equal(code, 1);
    assert.equal(health.usable, false);
    assert.equal(health.addonOverride, file);
    assert.ok(!health.loadTest.ok);
    assert.equal(health.loadTest.error.code, 'ERR_KFD_ADDON_LOAD');
  });

  it('survives a crash of the addon and names the signal', async () => {
    // Every Node started by doctor, and only the load test is one, dies as if the addon had crashed.
    const script = "if (process.argv[1]?.endsWith('loadTestChild.js')) process.kill(process.pid, 'SIGSEGV')";
    const { code, health } = await doctor({
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}`,
    });
    assert.equal(code, 1);
    assert.ok(!health.loadTest.ok);
    assert.match(health.loadTest.error.message, /was ended by SIGSEGV/);
  });

  it('for people: a mark, what, and finding a line; hints; a last line that says it all', async () => {
    const file = path.join(folder, 'broken.node');
    writeFileSync(file, 'no library');
    const { code, stdout, stderr } = await runCli(['doctor'], { environment: { KFD_ADDON: file } });
    assert.equal(code, 1);
    assert.equal(stderr, '');
    assert.match(stdout, /^x {2}load test/m);
    assert.match(stdout, /^\+ {2}Node/m);
    assert.match(stdout, /^hint: /m);
    assert.match(stdout, /is not ready: see the lines marked x\.\n$/);
  });

  it('knows which Node is new enough', () => {
    for (const version of ['v20.19.0', 'v20.20.2', 'v22.0.0', 'v24.1.0'])
      assert.ok(isNodeSupported(version), version);
    for (const version of ['v20.18.3', 'v18.20.0', 'v8.0.0']) assert.ok(!isNodeSupported(version), version);
  });
});
