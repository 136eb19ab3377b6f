import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { readNpz } from '../../lib/data/npz.js';
import type { Detection } from '../../lib/kfd/detection.js';
import { writeHugePng } from '../image/hugePng.js';
import { command, detect, photo } from './command.js';

const lines = (text: string) => text.split('\n').filter((line) => line !== '');
const jsonLines = (text: string) => lines(text).map((line) => JSON.parse(line) as Detection);

/** One lane keeps every trial the same on any machine. */
const ONE_LANE = ['--lanes', '1', '--threads-per-lane', '1'];

describe('detect: the command', function () {
  this.timeout(300_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-detect-'));
    await mkdir(path.join(folder, 'album', 'deep'), { recursive: true });
    await copyFile(photo('astronaut.jpg'), path.join(folder, 'album', 'b.jpg'));
    await copyFile(photo('astronaut-forged.jpg'), path.join(folder, 'album', 'a.jpg'));
    await copyFile(photo('astronaut.jpg'), path.join(folder, 'album', 'deep', 'c.jpg'));
    await writeFile(path.join(folder, 'album', 'notes.txt'), 'not an image, and not by its name either');
    await mkdir(path.join(folder, 'empty'));
  });
  after(() => rm(folder, { recursive: true }));

  it('prints verdicts for people, with what the weights are worth', async () => {
    const { code, stdout, stderr } = await detect([photo('astronaut.jpg'), ...ONE_LANE]);
    assert.equal(code, 0, stderr);
    const [worth, heading, verdict, ...rest] = lines(stdout);
    assert.match(worth ?? '', /weights/i);
    assert.match(heading ?? '', /forgery score/);
    assert.match(verdict ?? '', /^(real|fake) +0\.\d{3} .*astronaut\.jpg/);
    assert.deepEqual(rest, []);
    assert.match(stderr, /1 input, 1 face judged/);
  });

  it('gives each broken input one clear line, a status and exit code 4, and writes nothing by halves', async () => {
    const file = (name: string) => path.join(folder, name);
    await writeFile(file('empty.jpg'), '');
    const jpeg = await readFile(photo('astronaut.jpg'));
    await writeFile(file('truncated.jpg'), jpeg.subarray(0, jpeg.length / 2));
    await writeFile(file('text.jpg'), 'these are only words');
    await writeHugePng(file('huge.png'), 20_000, 15_000);
    const noise = { create: { width: 300, height: 200, channels: 3, background: '#888' } } as const;
    await sharp(noise).jpeg().toFile(file('no-face.jpg'));
    const expected: [string, string][] = [
      ['empty.jpg', 'ERR_KFD_IMAGE_DECODE'],
      ['truncated.jpg', 'ERR_KFD_IMAGE_DECODE'],
      ['text.jpg', 'ERR_KFD_IMAGE_DECODE'],
      ['huge.png', 'ERR_KFD_IMAGE_TOO_LARGE'],
      ['empty', 'ERR_KFD_FILE_READ'],
      ['missing.jpg', 'ERR_KFD_FILE_NOT_FOUND'],
      ['no-face.jpg', 'no-face'],
    ];
    const report = file('broken-report');
    const inputs = expected.map(([name]) => file(name));
    const { code, stdout, stderr } = await detect([...inputs, '--jsonl', '--report', report, ...ONE_LANE]);
    assert.equal(code, 4, stderr);
    const detections = jsonLines(stdout);
    assert.deepEqual(
      detections.map(({ input, error, status }) => [path.basename(input.path ?? ''), error?.code ?? status]),
      expected,
    );
    assert.ok(detections.every(({ faces }) => faces.length === 0));
    const failures = lines(stderr).filter((line) => line.startsWith('failed:'));
    assert.equal(failures.length, expected.length);
    expected.forEach(([name], index) => assert.ok(failures[index]?.includes(file(name)), failures[index]));
    assert.ok(!stderr.includes('    at '), 'no stack traces');
    const html = await readFile(path.join(report, 'report.html'), 'utf8');
    assert.ok(expected.every(([name]) => html.includes(name)) && html.endsWith('</html>\n'));
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });

  it('takes folders, sorted, with and without their subfolders', async () => {
    const flat = await detect([path.join(folder, 'album'), '--jsonl', ...ONE_LANE]);
    assert.equal(flat.code, 0, flat.stderr);
    const names = ({ stdout }: { stdout: string }) =>
      jsonLines(stdout).map(({ input }) => path.relative(path.join(folder, 'album'), input.path ?? ''));
    assert.deepEqual(names(flat), ['a.jpg', 'b.jpg']);
    const deep = await detect([path.join(folder, 'album'), '-r', '--jsonl', ...ONE_LANE]);
    assert.deepEqual(names(deep), ['a.jpg', 'b.jpg', path.join('deep', 'c.jpg')]);
  });

  it('reads lists from files and stdin, and one image from stdin', async () => {
    const list = path.join(folder, 'list.txt');
    await writeFile(list, 'album/a.jpg\r\n\nalbum/deep\n');
    const fromFile = await detect(['--files-from', list, '--jsonl', ...ONE_LANE], { cwd: folder });
    assert.deepEqual(
      jsonLines(fromFile.stdout).map(({ input }) => input.path),
      ['album/a.jpg', path.join('album/deep', 'c.jpg')],
    );
    const nul = await detect(['--files-from', '-', '-0', '--jsonl', ...ONE_LANE], {
      cwd: folder,
      input: 'album/b.jpg\0',
    });
    assert.deepEqual(
      jsonLines(nul.stdout).map(({ input }) => input.path),
      ['album/b.jpg'],
    );
    const image = await detect(['-', '--json', ...ONE_LANE], {
      input: await readFile(photo('astronaut.jpg')),
    });
    assert.equal(image.code, 0, image.stderr);
    const detection = JSON.parse(image.stdout) as Detection;
    assert.deepEqual(detection.input, { path: '-', width: 512, height: 512 });
  });

  it('prints one object for one input and an array for several', async () => {
    const one = await detect([photo('astronaut.jpg'), '--json', '-q', ...ONE_LANE]);
    assert.equal((JSON.parse(one.stdout) as Detection).schema, 'kfd.detection/1');
    assert.equal(one.stderr, '');
    const several = await detect([photo('astronaut.jpg'), 'missing.jpg', '--json', ...ONE_LANE]);
    assert.equal(several.code, 4);
    assert.deepEqual(
      (JSON.parse(several.stdout) as Detection[]).map(({ status }) => status),
      ['ok', 'error'],
    );
  });

  it('distinguishes nothing to do from wrong usage and a refused model', async () => {
    const cases: [readonly string[], number, RegExp][] = [
      [[], 5, /Nothing was given/],
      [[path.join(folder, 'empty')], 5, /No images in/],
      [['--files-from', '-'], 5, /list of files is empty/],
      [['a.jpg', '--json', '--jsonl'], 2, /exclude each other/],
      [['-', '--files-from', '-'], 2, /stdin can be read once/],
      [['a.jpg', '--faces', 'some'], 2, /faces/],
      [['a.jpg', 'b.jpg', '--dump', 'x.npz'], 2, /--dump takes one input/],
      [['a.jpg', '--input-tensor', 'x.npz'], 2, /--input-tensor takes no images/],
      [['a.jpg', '--threshold', '3'], 2, /threshold/],
      [['a.jpg', '--lanes', 'many'], 2, /lanes/],
    ];
    for (const [args, exitCode, message] of cases) {
      const { code, stdout, stderr } = await detect(args, { cwd: folder });
      assert.equal(code, exitCode, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, message);
      assert.equal(stdout.includes('"schema":"kfd.detection/1"'), false);
    }
    const { code } = await command(['detect', 'a.jpg', '--model', path.join(folder, 'none.pt')], {
      cwd: folder,
    });
    assert.equal(code, 3);
  });

  it('dumps arrays and takes them back', async () => {
    const dump = path.join(folder, 'dump.npz');
    const first = await detect([photo('astronaut.jpg'), '--json', '--dump', dump, ...ONE_LANE]);
    assert.equal(first.code, 0, first.stderr);
    const arrays = await readNpz(dump);
    assert.deepEqual(arrays['input']?.shape, [1, 3, 224, 224]);
    const again = await detect(['--input-tensor', dump, '--json', ...ONE_LANE]);
    assert.equal(again.code, 0, again.stderr);
    const score = ({ stdout }: { stdout: string }) =>
      (JSON.parse(stdout) as Detection).faces[0]?.score ?? NaN;
    assert.ok(Math.abs(score(first) - score(again)) < 1e-5);
    assert.ok(Math.abs((arrays['p']?.data[1] ?? NaN) - score(again)) < 1e-6);
    await writeFile(path.join(folder, 'bad.npz'), 'not a zip');
    const bad = await detect(['--input-tensor', path.join(folder, 'bad.npz'), ...ONE_LANE]);
    assert.equal(bad.code, 4);
    assert.match(bad.stderr, /expected an .npz archive/);
  });

  it('writes a report of several faces', async () => {
    const target = path.join(folder, 'report');
    const { code, stderr } = await detect([path.join(folder, 'album'), '--report', target, ...ONE_LANE]);
    assert.equal(code, 0, stderr);
    assert.ok(stderr.includes(path.join(target, 'report.html')));
    const files = await readdir(target);
    for (const suffix of [
      'photo.png',
      'photo-map.png',
      'face1-crop.png',
      'face1-map.png',
      'face1-map-grey.png',
    ]) {
      assert.equal(files.filter((name) => name.endsWith(suffix)).length, 2, suffix);
    }
  });

  it('stops at SIGINT with code 130 and leaves no report behind', async () => {
    const list = Array.from({ length: 500 }, () => photo('astronaut.jpg')).join('\n');
    const { code, stdout } = await detect(
      ['--files-from', '-', '--jsonl', '--report', path.join(folder, 'cut'), ...ONE_LANE],
      {
        input: list,
        onStart: (child) => child.stdout?.once('data', () => child.kill('SIGINT')),
      },
    );
    assert.equal(code, 130);
    assert.ok(jsonLines(stdout).length < 500);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('cut')),
      [],
    );
  });

  it('ends quietly when its reader goes away', async () => {
    const list = Array.from({ length: 500 }, () => photo('astronaut.jpg')).join('\n');
    const { code, stderr } = await detect(['--files-from', '-', '--jsonl', '-q', ...ONE_LANE], {
      input: list,
      onStart: (child) => child.stdout?.once('data', () => child.stdout?.destroy()),
    });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
  });
});
