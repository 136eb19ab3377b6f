import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';
import { command, testModel } from './command.js';

const modelArguments = testModel === undefined ? [] : ['--model', path.resolve(testModel)];

describe('detect: demo and bench', function () {
  this.timeout(300_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-demo-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('shows both bundled pictures, what the weights are worth, and the true mask', async () => {
    const out = path.join(folder, 'demo');
    const demo = path.join(packageRoot(), 'dist', 'cli', 'demo.js');
    const { status, stdout, stderr } = spawnSync(process.execPath, [demo, '--out', out, ...modelArguments], {
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /(real|fake) +0\.\d{3} +astronaut\.jpg/);
    assert.match(stdout, /(real|fake) +0\.\d{3} +astronaut-forged\.jpg/);
    assert.match(stdout, /Demonstration weights|Research weights|Recommended weights/);
    assert.match(stdout, /network \d+ ms/);
    assert.equal([...stdout.matchAll(/how the score forms: .*half of the mass by block/g)].length, 2);
    assert.ok(stdout.includes(path.join(out, 'report.html')));
    assert.match(
      stdout,
      /the forgery, explained\n {2}Answers (by .*\n {2}language model: \/|are made from the numbers)/,
    );
    const said = [...stdout.matchAll(/^ {2}Q: .*\n {2}A: (.+)/gm)].map(([, answer]) => answer ?? '');
    assert.equal(said.length, 5);
    assert.match(said[0] ?? '', /forgery score is \d+%/);
    assert.ok(
      [...stdout.matchAll(/^ {5}supported +(verdict|score|region)/gm)].length >= 3,
      'claims with their numbers',
    );
    assert.ok(!/^ {5}contradicted/m.test(stdout));
    const html = await readFile(path.join(out, 'report.html'), 'utf8');
    assert.equal([...html.matchAll(/<figcaption>True mask/g)].length, 1);
    assert.equal([...html.matchAll(/<section class="dialogue"/g)].length, 1);
    assert.ok((await readdir(out)).includes('0002-astronaut-forged-face1-flow.html'));
    assert.ok((await readdir(out)).includes('0002-astronaut-forged-face1-true-mask.png'));
  });

  it('measures throughput and the engine against TorchScript', async () => {
    const trials = ['--flow', '--seconds', '1', '--rounds', '1', '--lanes', '1'];
    const args = ['bench', '--json', ...trials, ...modelArguments];
    const { code, stdout, stderr } = await command(args);
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout) as {
      schema: string;
      ratios: Record<string, number>;
      flow: { medianCpuMs: Record<string, number>; targets: Record<string, string> };
      detector: { oneLane: { imagesPerSecond: number; images: number } };
    };
    assert.equal(result.schema, 'kfd.bench/1');
    assert.ok((result.ratios['engine_vs_torchscript_fp32'] ?? 0) > 0.3);
    assert.ok(result.detector.oneLane.imagesPerSecond > 0 && result.detector.oneLane.images > 0);
    for (const kind of ['direct', 'class_row', 'gradient', 'all_rows', 'extra_target']) {
      assert.ok(Number.isFinite(result.ratios[`flow_${kind}_vs_forward`]), kind);
    }
    assert.equal(result.flow.targets['gradient'], 'forgery');
    const refused = await command(['bench', '--seconds', '-1']);
    assert.equal(refused.code, 2);
  });
});
