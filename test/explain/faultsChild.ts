/**
 * Child of faults.test.ts: node faultsChild.js FOLDER MODEL MANIFEST. Loads explainers from damaged and foreign files one
 * after the other, then talks through a good one: a crash in llama.cpp would end the process. Prints one JSON line, the
 * error of each case by its name.
 */
import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../lib/errors.js';
import { Explainer } from '../../lib/explain/explainer.js';
import type { ExplainerOptions } from '../../lib/explain/options.js';
import { digestFile } from '../../lib/setup/digest.js';
import { readExplainerManifest } from '../../lib/setup/models.js';
import { faceWithPrompts, plainFace } from './realExplainer.js';

const [, , folder = '', model = '', manifestPath = ''] = process.argv;
const results: Record<string, string> = {};

async function record(name: string, work: () => Promise<string>): Promise<void> {
  try {
    results[name] = await work();
  } catch (error) {
    results[name] =
      error instanceof KfdError ? `${error.code}: ${error.message}` : `thrown: ${String(error)}`;
  }
}

function loading(name: string, options: ExplainerOptions): Promise<void> {
  return record(name, async () => {
    await using explainer = await Explainer.load({ dialogues: 1, ...options });
    const { conditioning, fallback } = explainer.info();
    return `${conditioning}: ${fallback ?? ''}`;
  });
}

/** A copy of the manifest, beside an adapter made of `bytes`. */
async function manifestWithAdapter(name: string, bytes: Uint8Array): Promise<string> {
  const json = JSON.parse(await readFile(manifestPath, 'utf8')) as {
    file: string;
    explainer: { adapter: { file: string; bytes: number; sha256: string } };
  };
  const file = path.join(folder, `${name}.gguf`);
  await writeFile(file, bytes);
  Object.assign(json.explainer.adapter, { file: path.basename(file), ...(await digestFile(file)) });
  const written = path.join(folder, `${name}.kfd.json`);
  await writeFile(written, JSON.stringify(json));
  return written;
}

const { adapterPath } = await readExplainerManifest(manifestPath);
const adapter = await readFile(adapterPath);
const garbage = path.join(folder, 'garbage.gguf');
await writeFile(garbage, 'no language model '.repeat(1000));
const truncated = path.join(folder, 'truncated.gguf');
await copyFile(model, truncated);
await truncate(truncated, 50_000_000);

await loading('garbage as text', { conditioning: 'text', model: garbage });
await loading('truncated as text', { conditioning: 'text', model: truncated });
await loading('adapter as text', { conditioning: 'text', model: adapterPath });
await loading('truncated, auto', { model: truncated });
await loading('foreign with prompts', { conditioning: 'prompts', explainer: manifestPath, model: garbage });
await loading('no such model', { conditioning: 'text', model: path.join(folder, 'nothing.gguf') });
await loading('no such manifest', { explainer: path.join(folder, 'nothing.kfd.json') });
for (const [name, bytes] of [
  ['truncated adapter', adapter.subarray(0, adapter.length / 2)],
  ['garbage adapter', new Uint8Array(5000).fill(7)],
] as const) {
  const explainer = await manifestWithAdapter(name.replace(' ', '-'), bytes);
  await loading(name, { conditioning: 'prompts', explainer, model });
}
await manifestWithAdapter('changed', adapter);
await writeFile(path.join(folder, 'changed.gguf'), adapter.subarray(1));
await loading('changed adapter', { explainer: path.join(folder, 'changed.kfd.json'), model });

process.env['KFD_NODE_LLAMA_CPP'] = path.join(folder, 'nothing');
await loading('missing, explicit', { conditioning: 'prompts', explainer: manifestPath, model });
await loading('missing, auto', { explainer: manifestPath, model });
delete process.env['KFD_NODE_LLAMA_CPP'];

const manifest = await readExplainerManifest(manifestPath);
await using explainer = await Explainer.load({ explainer: manifestPath, model, dialogues: 1, maxTokens: 4 });
const temporary = process.env['TMPDIR'];
process.env['TMPDIR'] = path.join(folder, 'nothing');
await record('no temporary folder', async () => {
  await explainer.open(faceWithPrompts(manifest, 1));
  return 'opened';
});
if (temporary === undefined) delete process.env['TMPDIR'];
else process.env['TMPDIR'] = temporary;
await record('a good one afterwards', async () => {
  await using dialogue = await explainer.open(faceWithPrompts(manifest, 1));
  await using other = await explainer.open(plainFace());
  return `${(await dialogue.ask('Is it fake?')).conditioning}, ${(await other.ask('Is it fake?')).conditioning}`;
});
process.stdout.write(`${JSON.stringify(results)}\n`);
