import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';
import { loadAddon } from '../../lib/native/loader.js';
import type { NativeAddon, NativeModel } from '../../lib/native/types.js';
import { inputOf, modelOf, rampImage, readCase } from './reference.js';

/** The three descriptions of the native surface must name the same things. */
const typesText = readFileSync(path.join(packageRoot(), 'lib/native/types.ts'), 'utf8');
const engineText = readFileSync(path.join(packageRoot(), 'binding/engine/engine.h'), 'utf8');
const errorText = readFileSync(path.join(packageRoot(), 'binding/core/error.h'), 'utf8');

/** Member names of an interface in types.ts. */
function interfaceMembers(name: string): string[] {
  const body = new RegExp(`export interface ${name} \\{\\n(.*?)\\n\\}`, 's').exec(typesText)?.[1];
  assert.ok(body !== undefined, `types.ts has no interface ${name}`);
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map((match) => match[1] ?? '').sort();
}

/** Member names of a struct in engine.h, in camel case as JavaScript has them. */
function structMembers(name: string): string[] {
  const body = new RegExp(`struct ${name} \\{\\n(.*?)\\n\\};`, 's').exec(engineText)?.[1];
  assert.ok(body !== undefined, `engine.h has no struct ${name}`);
  const names: string[] = [];
  for (const line of body.split('\n').filter((text) => /^ {2}[\w:<>, ]+ \w+.*;/.test(text))) {
    if (/\boperator\b|\breturn\b|\bconst \{|\(\) const/.test(line)) continue;
    const code = line
      .replace(/\/\/.*/, '')
      .replace(/<[^>]*>/g, '')
      .replace(/\{[^}]*\}/g, '');
    const declarators = code
      .trim()
      .replace(/^[\w:]+ /, '')
      .replace(';', '')
      .split(',');
    names.push(...declarators.map((part) => part.replace(/=.*/, '').trim()));
  }
  return names.map((text) => text.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())).sort();
}

const methodsOf = (instance: object): string[] =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(instance)).filter((name) => name !== 'constructor');

describe('native surface', () => {
  for (const name of [
    'InputSpec',
    'ModelInfo',
    'Hooks',
    'Timing',
    'BlockEvent',
    'ExecutorStats',
    'RuntimeInfo',
  ]) {
    it(`${name}: types.ts and engine.h have the same members`, () =>
      assert.deepEqual(interfaceMembers(name), structMembers(name)));
  }

  it('options: types.ts and engine.h have the same members', () => {
    assert.deepEqual(interfaceMembers('ExecutorOptions'), structMembers('ExecutorOptions'));
    assert.deepEqual(interfaceMembers('NativeModelOptions'), structMembers('ModelOptions'));
    assert.deepEqual(interfaceMembers('NativeFlowPass'), structMembers('FlowPass'));
    assert.deepEqual(interfaceMembers('NativeFlowTarget'), structMembers('FlowTarget'));
  });

  it('the addon exports what NativeAddon lists and nothing else', () => {
    const addon: NativeAddon = loadAddon();
    assert.deepEqual(Object.keys(addon).sort(), interfaceMembers('NativeAddon'));
    assert.deepEqual(Object.keys(addon.runtimeInfo()).sort(), interfaceMembers('RuntimeInfo'));
    assert.match(addon.runtimeInfo().torchVersion, /^2\.1[1-3]\./);
  });

  it('every native object has what types.ts lists and nothing else', async () => {
    const addon = loadAddon();
    const reference = readCase('vit_plain');
    const image = rampImage(8, 8);
    const executor = new addon.Executor({
      lanes: 1,
      threadsPerLane: 1,
      maxBatch: 1,
      maxQueueItems: 8,
      maxQueueBytes: 1e6,
    });
    assert.deepEqual(methodsOf(executor).sort(), interfaceMembers('NativeExecutor'));
    assert.deepEqual(Object.keys(executor.stats()).sort(), interfaceMembers('ExecutorStats'));
    const options = { kind: 'vit', input: inputOf(reference) } as const;
    const model: NativeModel = await executor.load(modelOf(reference), options);
    assert.deepEqual([...methodsOf(model), ...Object.keys(model)].sort(), interfaceMembers('NativeModel'));
    assert.deepEqual(Object.keys(model.info).sort(), interfaceMembers('ModelInfo'));
    const job = model.run({ image });
    assert.deepEqual([...methodsOf(job), ...Object.keys(job)].sort(), interfaceMembers('NativeJob'));
    const result = await job.promise;
    assert.deepEqual(Object.keys(result).sort(), interfaceMembers('RunResult'));
    assert.deepEqual(Object.keys(result.timing).sort(), interfaceMembers('Timing'));
    assert.deepEqual(Object.keys(result.arrays['logits'] ?? {}).sort(), interfaceMembers('FloatArray'));
    const walk = model.walk({ image });
    assert.deepEqual(methodsOf(walk).sort(), interfaceMembers('NativeWalk'));
    assert.deepEqual(Object.keys((await walk.next()) ?? {}).sort(), interfaceMembers('BlockEvent'));
    walk.close();
    const flow = model.flow({ image });
    assert.deepEqual(methodsOf(flow).sort(), interfaceMembers('NativeFlow'));
    flow.close();
    await executor.shutdown();
  });

  it('every error code of the C++ parts has its code in lib/errors.ts', async () => {
    const { ERROR_CODES } = await import('../../lib/errors.js');
    const body = /enum class ErrorCode \{(.*?)\};/s.exec(errorText)?.[1] ?? '';
    const codes = [...body.matchAll(/\bk([A-Z]\w+),/g)].map(
      (match) => `ERR_KFD${(match[1] ?? '').replace(/([A-Z])/g, '_$1').toUpperCase()}`,
    );
    assert.ok(codes.length >= 14);
    for (const code of codes) assert.ok((ERROR_CODES as readonly string[]).includes(code), code);
  });
});
