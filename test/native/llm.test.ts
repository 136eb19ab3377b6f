import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../../lib/native/config.js';
import { LlamaPrefix, openLlama, type LlamaLibrary } from '../../lib/native/llm.js';
import { loadAddon } from '../../lib/native/loader.js';
import type { NativeLlamaPrefix } from '../../lib/native/types.js';
import { llamaParts, smallPrefix, type LlamaParts } from './llamaParts.js';
import type { BridgeReport } from './llmChild.js';

const CHILD = fileURLToPath(new URL('./llmChild.js', import.meta.url));

interface Ended {
  code: number;
  signal: string | null;
  stdout: string;
  stderr: string;
}

function childEnds(mode: string, folder: string): Promise<Ended> {
  return new Promise((resolve) => {
    // One malloc arena: otherwise glibc's own scatter over threads hides a small growth.
    const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
    const arguments_ = ['--expose-gc', CHILD, mode, folder];
    execFile(process.execPath, arguments_, { timeout: 100_000, env }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), signal: error?.signal ?? null, stdout, stderr }),
    );
  });
}

const code = (wanted: string, message = /./) => {
  return (error: Error) => {
    assert.equal((error as Error & { code: string }).code, wanted, error.message);
    assert.match(error.message, message);
    return true;
  };
};

describe('soft prompts', () => {
  let parts: LlamaParts;
  let library: LlamaLibrary;
  let prefix: LlamaPrefix;
  let folder: string;
  const cleaning: (() => Promise<void>)[] = [];
  before(async function () {
    const found = llamaParts();
    if (found === undefined) return this.skip();
    parts = found;
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-llm-'));
    cleaning.push(() => rm(folder, { recursive: true }));
    library = openLlama({ folder: parts.folder, variant: 'cpu' });
    prefix = await LlamaPrefix.load({ library, ...smallPrefix(parts) });
    cleaning.push(() => prefix.close());
  });
  after(async () => {
    for (const clean of cleaning.reverse()) await clean();
  });
  const state = (name: string): string => path.join(folder, `${name}.state`);

  it('the library says what it is, and opens once', () => {
    assert.match(library.version, /^\d+\.\d+\.\d+/);
    assert.deepEqual(library.devices, ['CPU']);
    assert.deepEqual(openLlama({ folder: parts.folder }), library);
    assert.throws(
      () => openLlama({ folder: parts.folder, expectedVersion: '9.9.9' }),
      code('ERR_KFD_LLAMA_MISMATCH', /Expected llama\.cpp 9\.9\.9 but .* is \d/),
    );
    assert.throws(() => openLlama({ folder: os.tmpdir() }), code('ERR_KFD_LLAMA_MISMATCH', /this process/));
    assert.throws(() => openLlama({} as never), code('ERR_KFD_INVALID_ARGUMENT', /options\.folder/));
  });

  it('tokenises with and without special tokens', () => {
    assert.equal(prefix.width, 576);
    assert.equal(prefix.vocabulary, 49152);
    assert.equal(prefix.contextSize, 256);
    assert.deepEqual([...prefix.tokenize('<|im_start|>user\n', { special: true })].slice(0, 1), [1]);
    assert.notEqual(prefix.tokenize('<|im_start|>user\n')[0], 1);
    assert.throws(() => prefix.tokenize(5 as never), code('ERR_KFD_INVALID_ARGUMENT', /text/));
  });

  it('writes a state file and gives logits', async () => {
    const tokens = prefix.tokenize('The capital of France is');
    const rows = new Float32Array(2 * prefix.width).fill(0.02);
    const pieces = [{ tokens }, { rows, placeholders: Int32Array.of(3, 5) }];
    const written = await prefix.write({ file: state('good'), pieces, logits: true });
    assert.equal(written.positions, tokens.length + 2);
    assert.equal(written.bytes, (await readFile(state('good'))).length);
    assert.equal(written.logits?.length, prefix.vocabulary);
    assert.equal('logits' in (await prefix.write({ file: state('good'), pieces })), false);
    // Arrays are copied: changing them at once changes nothing.
    const again = prefix.write({ file: state('again'), pieces, logits: true });
    rows.fill(NaN);
    assert.deepEqual((await again).logits, written.logits);
    assert.deepEqual(await readFile(state('again')), await readFile(state('good')));
  });

  it('refuses malformed requests', async () => {
    const tokens = Int32Array.of(1);
    const bad: [unknown, RegExp][] = [
      [[], /at least one piece/],
      [[{ tokens: [1] }], /an Int32Array of token ids for request\.pieces\[0\]\.tokens/],
      [[{ tokens, rows: new Float32Array(576) }], /either tokens or rows/],
      [[{ rows: new Float32Array(576) }], /placeholders/],
      [[{ rows: new Float32Array(0), placeholders: tokens }], /at least one row/],
      [[{ rows: new Float32Array(575), placeholders: tokens }], /1 rows of 576 values/],
      [[{ rows: new Float64Array(576), placeholders: tokens }], /a Float32Array/],
      [[{ rows: new Float32Array(576).fill(Infinity), placeholders: tokens }], /finite values/],
      [[{ tokens: Int32Array.of(49152) }], /0 to 49151/],
      [[{ tokens: new Int32Array(257) }], /at most 256 positions/],
      [[{ token: tokens }], /one of the keys/],
      ['text', /an array of pieces/],
    ];
    for (const [pieces, message] of bad) {
      const request = { file: state('bad'), pieces: pieces as never };
      await assert.rejects(prefix.write(request), code('ERR_KFD_INVALID_ARGUMENT', message));
    }
    const nowhere = path.join(folder, 'nowhere', 'x.state');
    await assert.rejects(prefix.write({ file: nowhere, pieces: [{ tokens }] }), code('ERR_KFD_FILE_WRITE'));
    assert.deepEqual(
      (await readdir(folder)).filter((name) => /tmp$|bad/.test(name)),
      [],
    );
  });

  it('aborts waiting and running writes', async () => {
    const aborted = new AbortController();
    const pieces = [{ tokens: new Int32Array(250).fill(100) }];
    const { signal } = aborted;
    const writes = [1, 2].map((index) => prefix.write({ file: state(`aborted${index}`), pieces, signal }));
    setTimeout(() => aborted.abort(), 50);
    await Promise.all(writes.map((write) => assert.rejects(write, code('ERR_KFD_ABORTED'))));
    await assert.rejects(prefix.write({ file: state('x'), pieces, signal }), code('ERR_KFD_ABORTED'));
    assert.equal(
      (await prefix.write({ file: state('x'), pieces: [{ tokens: Int32Array.of(1) }] })).positions,
      1,
    );
  });

  it('refuses damaged and foreign models, and the process goes on', async () => {
    const cut = path.join(folder, 'cut.gguf');
    await writeFile(cut, (await readFile(parts.model)).subarray(0, 3_000_000));
    const load = (change: object): Promise<LlamaPrefix> =>
      LlamaPrefix.load({ library, ...smallPrefix(parts), ...change });
    await assert.rejects(load({ model: cut }), code('ERR_KFD_LANGUAGE_MODEL', /its tensors need/));
    await truncate(cut, 1000);
    await assert.rejects(load({ model: cut }), code('ERR_KFD_LANGUAGE_MODEL', /in the middle of its header/));
    await writeFile(cut, 'something else altogether, and long enough');
    await assert.rejects(load({ model: cut }), code('ERR_KFD_LANGUAGE_MODEL', /begin with GGUF/));
    await assert.rejects(load({ model: state('none') }), code('ERR_KFD_LANGUAGE_MODEL', /Cannot read/));
    await assert.rejects(
      load({ adapter: { file: parts.model } }),
      code('ERR_KFD_LANGUAGE_MODEL', /general\.type adapter/),
    );
    await assert.rejects(load({ sequences: 1000 }), code('ERR_KFD_INVALID_ARGUMENT', /sequences/));
    await assert.rejects(load({ library: undefined }), code('ERR_KFD_INVALID_ARGUMENT', /openLlama/));
    await assert.rejects(load({ signal: AbortSignal.abort() }), code('ERR_KFD_ABORTED'));
    await assert.rejects(load({ signal: AbortSignal.timeout(5) }), code('ERR_KFD_ABORTED'));
  });

  it('a closed one refuses work and stays closed', async () => {
    const other = await LlamaPrefix.load({ library, ...smallPrefix(parts) });
    const pieces = [{ tokens: new Int32Array(250).fill(100) }];
    const running = assert.rejects(other.write({ file: state('closed'), pieces }), code('ERR_KFD_ABORTED'));
    await Promise.all([other.close(), other.close(), running]);
    assert.throws(() => other.tokenize('a'), code('ERR_KFD_DISPOSED'));
    await assert.rejects(other.write({ file: state('closed'), pieces }), code('ERR_KFD_DISPOSED'));
  });

  it('types.ts lists what the native objects have and nothing else', async () => {
    const text = await readFile(path.join(packageRoot(), 'lib/native/types.ts'), 'utf8');
    const members = (name: string): string[] => {
      const body = new RegExp(`export interface ${name} \\{\\n(.*?)\\n\\}`, 's').exec(text)?.[1] ?? '';
      return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map((match) => match[1] ?? '').sort();
    };
    assert.deepEqual(Object.keys(library).sort(), members('LlamaLibraryInfo'));
    const native: NativeLlamaPrefix = new (loadAddon().LlamaPrefix)(smallPrefix(parts));
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(native)).filter(
      (name) => name !== 'constructor',
    );
    assert.deepEqual([...methods, ...Object.keys(native)].sort(), members('NativeLlamaPrefix'));
    assert.deepEqual(Object.keys(await native.ready).sort(), members('LlamaPrefixInfo'));
    const write = native.write({ file: state('x'), pieces: [{ tokens: Int32Array.of(1) }], logits: true });
    assert.deepEqual(Object.keys(write).sort(), members('NativeLlamaWrite'));
    assert.deepEqual(Object.keys(await write.promise).sort(), members('LlamaWritten'));
    await native.close();
  });

  for (const mode of ['ours-first', 'theirs-first']) {
    it(`${mode}: node-llama-cpp goes on from the state as if it had read the text itself`, async () => {
      const ended = await childEnds(mode, folder);
      assert.equal(ended.code, 0, ended.stderr);
      assert.equal(ended.stderr, ''); // llama.cpp's log is silent
      const report = JSON.parse(ended.stdout) as BridgeReport;
      assert.ok(report.alone.length > 5, 'an answer of some tokens');
      assert.deepEqual(report.bridged, report.alone);
      const start = '<|im_start|>user\nThe capital of France';
      assert.deepEqual(report.tokens, [...prefix.tokenize(start, { special: true })]);
      assert.deepEqual(report.placeholders, [3, 5, 14]);
      assert.match(report.foreign, /Failed to load state/);
      assert.ok(report.repeated);
    });
  }

  const ends: [mode: string, code: number, stdout: string][] = [
    ['return', 0, 'written\n'],
    ['exit', 7, ''],
    ['really-exit', 8, ''],
    ['exit-in-load', 9, ''],
  ];
  for (const [mode, expected, stdout] of ends) {
    it(`${mode}: exit code ${expected}, no signal, nothing on stderr`, async () => {
      const ended = await childEnds(mode, folder);
      assert.deepEqual(ended, { code: expected, signal: null, stdout, stderr: '' });
    });
  }

  it('loading, writing and closing again and again keeps memory flat', async () => {
    const ended = await childEnds('memory', folder);
    assert.equal(ended.code, 0, ended.stderr);
    const rounds = JSON.parse(ended.stdout) as number[];
    const growth = (rounds.at(-1) ?? NaN) - (rounds[2] ?? NaN); // the first rounds fill the allocator's pools
    assert.ok(growth < 8, `${growth.toFixed(1)} MiB more after five rounds: ${rounds.join(' ')}`);
  });

  it('terminate() of a worker that writes', async () => {
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(new URL('./llmWorker.js', import.meta.url), { workerData: folder });
      await once(worker, 'message');
      assert.equal(await worker.terminate(), 1);
    }
    assert.equal(
      (await prefix.write({ file: state('x'), pieces: [{ tokens: Int32Array.of(1) }] })).positions,
      1,
    );
  });
});
