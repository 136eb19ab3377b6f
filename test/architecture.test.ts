import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../lib/native/config.js';

/**
 * The dependency rule of design section 3. Data flows from left to right through lib/'s folders; a folder imports only
 * what stands before it, and nothing imports cli/.
 */
const LIB_ORDER = [
  'native',
  'setup',
  'data',
  'image',
  'face',
  'daam',
  'vit',
  'kfd',
  'faithfulness',
  'explain',
  'report',
  'cli',
];
const BINDING_ALLOWED: Record<string, string[]> = {
  core: ['core'],
  engine: ['engine', 'core'],
  llm: ['llm', 'core'],
  node: ['node', 'engine', 'llm', 'core'],
  test: ['test', 'engine', 'llm', 'core'],
};

function filesBelow(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((file) => pattern.test(file) && statSync(file).isFile());
}

const root = packageRoot();
const lib = path.join(root, 'lib');
const folderOf = (file: string): string => path.relative(lib, file).split(path.sep)[0] ?? '';

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const found = text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g);
  return [...found].map((match) => path.resolve(path.dirname(file), match[1] ?? ''));
}

describe('dependency rule', () => {
  const sources = filesBelow(lib, /\.ts$/);

  it('lists every folder of lib/', () => {
    const folders = readdirSync(lib).filter((name) => statSync(path.join(lib, name)).isDirectory());
    assert.deepEqual(folders.sort(), [...LIB_ORDER].sort());
  });

  it('lib/ folders import only what stands before them', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const own = LIB_ORDER.indexOf(folderOf(file));
      if (own < 0) continue; // index.ts and errors.ts are checked below
      for (const target of importsOf(file)) {
        const other = LIB_ORDER.indexOf(folderOf(target));
        if (other > own || target === path.join(lib, 'index.js')) {
          wrong.push(`${path.relative(root, file)} imports ${path.relative(root, target)}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('errors.ts imports nothing and index.ts never imports cli/', () => {
    assert.deepEqual(importsOf(path.join(lib, 'errors.ts')), []);
    const index = importsOf(path.join(lib, 'index.ts'));
    assert.ok(index.length > 0);
    assert.deepEqual(
      index.filter((target) => folderOf(target) === 'cli'),
      [],
    );
  });

  it('only lib/native touches the addon', () => {
    const wrong = sources.filter(
      (file) =>
        folderOf(file) !== 'native' && /process\.dlopen|createRequire/.test(readFileSync(file, 'utf8')),
    );
    assert.deepEqual(wrong, []);
  });

  it('only lib/native/config.ts reads the environment', () => {
    const wrong = sources.filter(
      (file) =>
        path.relative(lib, file) !== path.join('native', 'config.ts') &&
        /process\.env\b|process\['env'\]/.test(readFileSync(file, 'utf8')),
    );
    assert.deepEqual(wrong, []);
  });

  it('binding/: core <- engine <- node, and engine.h names neither torch nor Node', () => {
    const wrong: string[] = [];
    for (const [folder, allowed] of Object.entries(BINDING_ALLOWED)) {
      for (const file of filesBelow(path.join(root, 'binding', folder), /\.(h|cpp)$/)) {
        const text = readFileSync(file, 'utf8');
        for (const [, quoted, angled] of text.matchAll(/^#include (?:"([^"]+)"|<([^>]+)>)/gm)) {
          const local = /^(core|engine|llm|node|test)\//.exec(quoted ?? '')?.[1];
          const torch = /^(torch|ATen|c10)\//.test(angled ?? '');
          const node = /^(napi|node_api|uv)/.test(angled ?? '');
          if (local !== undefined && !allowed.includes(local)) wrong.push(`${file}: ${quoted ?? ''}`);
          if (torch && folder !== 'engine' && folder !== 'test') wrong.push(`${file}: ${angled ?? ''}`);
          if (node && folder !== 'node') wrong.push(`${file}: ${angled ?? ''}`);
        }
      }
    }
    assert.deepEqual(wrong, []);
    const surface = readFileSync(path.join(root, 'binding/engine/engine.h'), 'utf8');
    assert.doesNotMatch(surface.replaceAll(/\/\/.*$/gm, ''), /at::|c10::|torch::|napi/i);
  });
});
