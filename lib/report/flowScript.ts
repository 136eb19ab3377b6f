import { readFileSync } from 'node:fs';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { packageRoot } from '../native/config.js';

/**
 * The viewer's script as one text. Its modules are compiled one by one (lib/report/viewer/tsconfig.json); here each
 * becomes a function that returns its exports, in the order in which they need each other. That is all a page with a
 * strict policy needs of a bundler, and the compiler's output is regular enough to be read line by line; a line that
 * is not understood is an error, never dropped.
 */

const ENTRY = path.join('report', 'viewer', 'main.js');

interface Module {
  /** Name of the constant that holds the exports. */
  name: string;
  text: string;
}

function readModule(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new KfdError('ERR_KFD_FILE_NOT_FOUND', `The viewer's script ${file} is missing.`, {
      hint: 'In a checkout: npm run build. Else install the package again.',
      cause: error,
    });
  }
}

const IMPORT = /^import \{ ([\w$, ]+) \} from '(\.[^']+)';$/;
const EXPORT = /^export (?:async )?(?:const|function|class) ([\w$]+)/;

/** Turns one module into a function call, and adds it and what it imports to `done`. */
function addModule(file: string, done: Map<string, Module>): Module {
  const known = done.get(file);
  if (known !== undefined) return known;
  const exported: string[] = [];
  const lines = readModule(file)
    .split('\n')
    .filter((line) => !line.startsWith('//# sourceMappingURL='))
    .map((line) => {
      const [, names, target] = IMPORT.exec(line) ?? [];
      if (names !== undefined && target !== undefined) {
        const from = addModule(path.resolve(path.dirname(file), target), done);
        return `const { ${names} } = ${from.name};`;
      }
      const name = EXPORT.exec(line)?.[1];
      if (name !== undefined) {
        exported.push(name);
        return line.slice('export '.length);
      }
      if (/^(?:import|export)\b/.test(line) && line !== 'export {};')
        throw new KfdError('ERR_KFD_INTERNAL', `${file}: this line cannot be inlined: ${line}`);
      return line === 'export {};' ? '' : line;
    });
  const name = `module_${path.basename(file, '.js')}`;
  if ([...done.values()].some((other) => other.name === name))
    throw new KfdError('ERR_KFD_INTERNAL', `two modules of the viewer are called ${path.basename(file)}`);
  const text = `const ${name} = (() => {\n${lines.join('\n')}\nreturn { ${exported.join(', ')} };\n})();`;
  const module = { name, text };
  done.set(file, module);
  return module;
}

let cached: string | undefined;

/**
 * The whole script, for an inline script element.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND where it was not built
 */
export function viewerScript(): string {
  if (cached === undefined) {
    const done = new Map<string, Module>();
    addModule(path.join(packageRoot(), 'dist', ENTRY), done);
    cached = `'use strict';\n(() => {\n${[...done.values()].map(({ text }) => text).join('\n')}\n})();\n`;
  }
  return cached;
}
