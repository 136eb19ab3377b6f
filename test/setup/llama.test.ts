import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../lib/native/config.js';
import { readExplainerLock } from '../../lib/setup/explainerLock.js';
import { setupNodeLlama, type SetupNodeLlamaOptions } from '../../lib/setup/llama/install.js';
import { findNodeLlama, type FindNodeLlamaOptions } from '../../lib/setup/llama/resolve.js';
import { requireLlamaGlibc } from '../../lib/setup/platform.js';
import { FakeNpm, HEADER_NAMES, LLAMA_PIN, writeNodeLlama, type NpmBehaviour } from './fakeLlama.js';
import { collectingReporter, environmentOf, temporaryFolder } from './fakeTorch.js';

describe('node-llama-cpp', () => {
  let folder: string;
  let remove: () => void;
  let reporter: ReturnType<typeof collectingReporter>;
  beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    reporter = collectingReporter();
  });
  afterEach(() => remove());

  const at = (...parts: string[]): string => path.join(folder, ...parts);
  const installed = (...parts: string[]): string => at('cache', 'node-llama-cpp', '3.22.1', ...parts);

  /** A package folder without node_modules above it, and the cache in our own folder. */
  function options(changes: { nodeLlama?: string } = {}): FindNodeLlamaOptions {
    return {
      environment: environmentOf(folder, changes),
      pin: LLAMA_PIN,
      packageFolder: at('home', 'package'),
    };
  }

  describe('resolution', () => {
    it('says why each source does not serve when there is none', async () => {
      const { chosen, skipped } = await findNodeLlama(options());
      assert.equal(chosen, undefined);
      assert.deepEqual(
        skipped.map(({ source }) => source),
        ['explicit', 'node', 'cache'],
      );
      assert.match(skipped[2]?.why ?? '', /does not exist/);
    });

    it('takes the folder that KFD_NODE_LLAMA_CPP names: the package, its project or its node_modules', async () => {
      writeNodeLlama(at('home')); // which Node would find
      const project = writeNodeLlama(at('mine'));
      const modules = path.join(project, 'node_modules');
      for (const named of [project, modules, path.join(modules, 'node-llama-cpp')]) {
        const { chosen } = await findNodeLlama(options({ nodeLlama: named }));
        assert.equal(chosen?.source, 'explicit');
        assert.equal(chosen.folder, path.join(modules, 'node-llama-cpp'));
        assert.equal(fileURLToPath(chosen.entry), path.join(modules, 'node-llama-cpp', 'dist', 'index.js'));
      }
    });

    it('a named folder that cannot be used is an error, and nothing else is taken', async () => {
      writeNodeLlama(at('home'));
      const cases: [string, string, RegExp][] = [
        [at('nothing'), 'ERR_KFD_LLAMA_MISSING', /no usable node-llama-cpp/],
        [
          writeNodeLlama(at('old'), { version: '3.21.0' }),
          'ERR_KFD_LLAMA_MISMATCH',
          /3\.22\.1, received 3\.21\.0/,
        ],
        [writeNodeLlama(at('bare'), { variants: [] }), 'ERR_KFD_LLAMA_MISSING', /no libraries/],
        [writeNodeLlama(at('ext'), { variants: ['cuda-ext'] }), 'ERR_KFD_LLAMA_MISSING', /no libraries/],
        [
          writeNodeLlama(at('built'), { release: 'v0.4.0' }),
          'ERR_KFD_LLAMA_MISMATCH',
          /v0\.5\.0, received v0\.4\.0/,
        ],
      ];
      for (const [nodeLlama, code, message] of cases)
        await assert.rejects(findNodeLlama(options({ nodeLlama })), { code, message });
    });

    it('takes the one that Node finds for the package, but only of the pinned version', async () => {
      writeNodeLlama(at('home'));
      const found = await findNodeLlama(options());
      assert.equal(found.chosen?.source, 'node');
      rmSync(at('home'), { recursive: true });
      writeNodeLlama(at('home'), { version: '3.23.0' });
      const { chosen, skipped } = await findNodeLlama(options());
      assert.equal(chosen, undefined);
      assert.match(skipped[1]?.why ?? '', /expected node-llama-cpp 3\.22\.1, received 3\.23\.0/);
    });

    it('lists every variant that is installed, the processor first', async () => {
      writeNodeLlama(at('home'), { variants: ['cuda', 'cpu', 'cuda-ext'] });
      const { chosen } = await findNodeLlama(options());
      assert.deepEqual(
        chosen?.binaries.map(({ variant }) => variant),
        ['cpu', 'cuda'],
      );
      for (const binaries of chosen.binaries)
        assert.ok(readdirSync(binaries.folder).some((name) => name.startsWith('libllama')));
    });
  });

  describe('installation into the cache', () => {
    function npm(behaviour: NpmBehaviour): FakeNpm {
      if (!existsSync(at('served'))) writeNodeLlama(at('served'));
      return new FakeNpm(at(`npm-${behaviour}`), behaviour, at('served'));
    }

    function setup(program: FakeNpm, changes: Partial<SetupNodeLlamaOptions> = {}) {
      return program.run(() => setupNodeLlama({ ...options(), reporter, ...changes }));
    }

    /** What lies beside the finished parts. */
    function leftovers(): string[] {
      return existsSync(installed())
        ? readdirSync(installed()).filter((name) => name !== 'package' && name !== 'include')
        : [];
    }

    it('installs with npm, reads the headers out of the bundle, and takes the cache the next time', async () => {
      const program = npm('serve');
      const first = await setup(program);
      assert.equal(first.nodeLlama.source, 'npm');
      assert.equal(first.nodeLlama.folder, installed('package', 'node_modules', 'node-llama-cpp'));
      assert.deepEqual(first.headers, { folder: installed('include'), release: 'v0.5.0' });
      for (const name of HEADER_NAMES)
        assert.equal(readFileSync(installed('include', name), 'utf8'), `// ${name}\n`);
      assert.match(program.installations()[0] ?? '', /^ci --omit=optional --ignore-scripts /);
      assert.deepEqual(leftovers(), []);
      for (const part of [at('cache'), installed(), installed('package'), installed('include')])
        assert.equal(statSync(part).mode & 0o777, 0o700, part);
      assert.equal((await setup(program)).nodeLlama.source, 'cache');
      assert.equal(program.installations().length, 1);
    });

    it('takes the headers of a node-llama-cpp that is not in the cache', async () => {
      writeNodeLlama(at('home'));
      const program = npm('fail');
      const { nodeLlama, headers } = await setup(program);
      assert.equal(nodeLlama.source, 'node');
      assert.ok(existsSync(path.join(headers.folder, 'llama.h')));
      assert.deepEqual(program.installations(), []);
    });

    it('a failed, a refused and a wrong installation leave nothing and say what to do', async () => {
      writeNodeLlama(at('served'), { version: '3.22.0' });
      const cases: [NpmBehaviour, string, RegExp][] = [
        ['fail', 'ERR_KFD_DOWNLOAD', /--no-explainer/],
        ['integrity', 'ERR_KFD_DIGEST', /changed file/],
        ['serve', 'ERR_KFD_LLAMA_MISMATCH', /3\.22\.1/],
      ];
      for (const [behaviour, code, hint] of cases) {
        await assert.rejects(setup(npm(behaviour)), { code, hint });
        assert.deepEqual(leftovers(), []);
        assert.ok(!existsSync(installed('package')));
      }
    });

    it('--offline fetches nothing, but a carried npm cache will do', async () => {
      const failing = npm('fail');
      await assert.rejects(setup(failing, { offline: true }), {
        code: 'ERR_KFD_OFFLINE',
        hint: /--from DIR/,
      });
      assert.ok(failing.installations().every((call) => call.includes('--offline')));
      mkdirSync(at('carried', 'npm-cache'), { recursive: true });
      const npmCache = at('carried', 'npm-cache');
      await assert.rejects(setup(npm('serve'), { npmCache }), { code: 'ERR_KFD_OFFLINE' });
      mkdirSync(path.join(npmCache, '_cacache'));
      const { nodeLlama } = await setup(npm('serve'), { npmCache, offline: true });
      assert.match(nodeLlama.why, /--from names/);
      assert.deepEqual(readdirSync(npmCache), ['_cacache'], 'the carried cache is left as it is');
      assert.ok(!existsSync(installed('package', 'npm-cache')));
    });

    it('an aborted installation leaves nothing, and the next run starts afresh', async () => {
      const controller = new AbortController();
      const program = npm('half');
      const running = setup(program, { signal: controller.signal });
      while (program.installations().length === 0) await sleep(20);
      controller.abort();
      await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
      assert.deepEqual(leftovers(), []);
      assert.ok(!existsSync(at('cache', 'setup.lock')));
      assert.equal((await setup(npm('serve'))).nodeLlama.source, 'npm');
    });

    it('two runs at once: one installs, the other takes its result', async () => {
      const program = npm('serve');
      const both = await program.run(() =>
        Promise.all([1, 2].map(() => setupNodeLlama({ ...options(), reporter }))),
      );
      assert.deepEqual(both.map(({ nodeLlama }) => nodeLlama.source).sort(), ['cache', 'npm']);
      assert.equal(program.installations().length, 1);
    });

    const library = (): string => {
      const name = `${process.platform}-${process.arch}`;
      const bins = ['node_modules', '@node-llama-cpp', name, 'bins', name, 'libllama.v0.5.0.so'];
      return installed('package', ...bins);
    };
    const damages: [string, () => void, RegExp][] = [
      ['no manifest', () => rmSync(installed('package', 'manifest.json')), /interrupted/],
      ['a cut library', () => writeFileSync(library(), 'short'), /expected 2000 bytes, received 5/],
      ['a changed library', () => writeFileSync(library(), Buffer.alloc(2000, 6)), /expected SHA-256/],
      [
        'a missing file',
        () => rmSync(installed('package', 'node_modules', 'node-llama-cpp', 'llama', 'llama.cpp.info.json')),
        /expected \d+ files, received \d+/,
      ],
    ];
    for (const [name, damage, why] of damages) {
      it(`${name} in the cache: is not used, and is replaced`, async () => {
        const program = npm('serve');
        await setup(program);
        damage();
        const found = await findNodeLlama({ ...options(), thorough: true });
        assert.equal(found.chosen, undefined);
        assert.match(found.skipped[2]?.why ?? '', why);
        assert.equal((await setup(program)).nodeLlama.source, 'npm');
        assert.equal((await findNodeLlama({ ...options(), thorough: true })).chosen?.source, 'cache');
        assert.deepEqual(leftovers(), []);
      });
    }

    it('changed headers are read out again, and --force does everything again', async () => {
      const program = npm('serve');
      await setup(program);
      writeFileSync(installed('include', 'llama.h'), '// other\n');
      await setup(program);
      assert.equal(readFileSync(installed('include', 'llama.h'), 'utf8'), '// llama.h\n');
      assert.equal((await setup(program, { force: true })).nodeLlama.source, 'npm');
      assert.equal(program.installations().length, 2);
    });

    it('a bundle that is missing, damaged or of another release gives no headers', async () => {
      const sources = at('home', 'node_modules', 'node-llama-cpp', 'llama');
      writeNodeLlama(at('home'), { bundle: false });
      const failing = (): Promise<unknown> => setup(npm('fail'));
      await assert.rejects(failing(), { code: 'ERR_KFD_LLAMA_MISSING', message: /expected the sources/ });
      writeFileSync(path.join(sources, 'gitRelease.bundle'), 'no bundle');
      await assert.rejects(failing(), { code: 'ERR_KFD_LLAMA_MISSING', message: /cannot be read out/ });
      writeFileSync(path.join(sources, 'llama.cpp.info.json'), '{"tag":"v0.4.0"}');
      await assert.rejects(failing(), {
        code: 'ERR_KFD_LLAMA_MISSING',
        message: /v0\.5\.0, received v0\.4\.0/,
      });
      assert.deepEqual(leftovers(), []);
    });

    it('says that git or npm is missing', async () => {
      const program = npm('serve');
      const before = process.env['PATH'];
      process.env['PATH'] = program.folder; // npm, but no git
      try {
        const running = setupNodeLlama({ ...options(), reporter });
        await assert.rejects(running, { code: 'ERR_KFD_TOOL_MISSING', hint: /apt-get install git/ });
      } finally {
        process.env['PATH'] = before;
      }
      assert.deepEqual(leftovers(), []);
    });
  });

  it('the shipped lock file pins every package by its hash, and no address', async () => {
    const shipped = path.join(packageRoot(), 'lib', 'setup', 'llama', 'npm');
    const read = (name: string): unknown => JSON.parse(readFileSync(path.join(shipped, name), 'utf8'));
    const { dependencies } = read('package.json') as { dependencies: Record<string, string> };
    const { packages } = read('package-lock.json') as {
      packages: Record<string, { version?: string; integrity?: string; resolved?: string }>;
    };
    const { nodeLlama } = await readExplainerLock();
    for (const [name, version] of Object.entries(dependencies)) {
      assert.equal(version, nodeLlama.version, name);
      assert.equal(packages[`node_modules/${name}`]?.version, nodeLlama.version, name);
    }
    for (const [name, { integrity, resolved }] of Object.entries(packages)) {
      if (name === '') continue;
      assert.match(integrity ?? '', /^sha512-/, name);
      assert.equal(resolved, undefined, name);
    }
  });

  it('needs a glibc that its libraries load with', () => {
    for (const version of ['2.34', '2.36', '3.0']) requireLlamaGlibc(version);
    for (const version of ['2.33', '2.28'])
      assert.throws(() => requireLlamaGlibc(version), {
        code: 'ERR_KFD_LLAMA_MISSING',
        hint: /--no-explainer/,
      });
  });
});
