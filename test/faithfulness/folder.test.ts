import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { readImageFolder, type FolderOptions } from '../../lib/faithfulness/imageFolder.js';

describe('faithfulness: folders', () => {
  let folder: string;
  const inside = (...names: string[]) => path.join(folder, ...names);
  const read = (name: string, options: Partial<FolderOptions> = {}) =>
    readImageFolder(inside(name), { needMasks: true, seed: 0, ...options });
  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-folder-'));
    const files = {
      beside: ['b.png', 'b.mask.png', 'a.jpg', 'a.png', 'c.webp', 'c.mask.png', '.hidden.jpg', 'notes.txt'],
      images: ['one.jpg', 'two.png'],
      masks: ['one.png', 'two.png'],
      bare: ['x.jpg', 'y.jpg', 'y.png'],
      empty: ['only.mask.png'],
      many: Array.from({ length: 30 }, (_, i) => `${i}.jpg`),
    };
    for (const [name, list] of Object.entries(files)) {
      await mkdir(inside(name));
      for (const file of list) await writeFile(inside(name, file), '');
    }
    await writeFile(inside('groups.csv'), 'image,group\r\none.jpg,anna\r\ntwo.png, bert \r\n');
    await writeFile(inside('short.csv'), 'one.jpg,anna\n');
    await writeFile(inside('odd.csv'), 'one.jpg\n');
  });
  after(() => rm(folder, { recursive: true }));

  it('finds masks beside the images and never takes a mask for an image', async () => {
    const found = await read('beside');
    assert.deepEqual(
      found.map(({ name, mask }) => [name, path.basename(mask ?? '')]),
      [
        ['a.jpg', 'a.png'],
        ['b.png', 'b.mask.png'],
        ['c.webp', 'c.mask.png'],
      ],
    );
  });

  it('finds masks in a folder of their own, and groups', async () => {
    const found = await read('images', { masks: inside('masks'), groups: inside('groups.csv') });
    assert.deepEqual(
      found.map(({ mask, group }) => [path.basename(mask ?? ''), group]),
      [
        ['one.png', 'anna'],
        ['two.png', 'bert'],
      ],
    );
  });

  it('takes a reproducible sample', async () => {
    const names = async (seed: number) =>
      (await read('many', { needMasks: false, limit: 5, seed })).map(({ name }) => name);
    assert.equal((await names(1)).length, 5);
    assert.deepEqual(await names(1), await names(1));
    assert.notDeepEqual(await names(1), await names(2));
    assert.equal((await read('many', { needMasks: false, limit: 99 })).length, 30);
  });

  it('says what is missing', async () => {
    const cases: [() => Promise<unknown>, string, RegExp][] = [
      [() => read('nowhere'), 'ERR_KFD_FILE_NOT_FOUND', /Expected a folder of images/],
      [() => read('empty'), 'ERR_KFD_NO_INPUT', /No images/],
      [
        () => read('bare'),
        'ERR_KFD_FILE_NOT_FOUND',
        /1 of 2 images have no mask: expected .*x\.mask\.png or .*x\.png/,
      ],
      [() => read('images', { masks: inside('empty') }), 'ERR_KFD_FILE_NOT_FOUND', /2 of 2 .*empty.one\.png/],
      [
        () => read('images', { needMasks: false, groups: inside('none.csv') }),
        'ERR_KFD_FILE_NOT_FOUND',
        /groups .*none\.csv/,
      ],
      [
        () => read('images', { needMasks: false, groups: inside('short.csv') }),
        'ERR_KFD_INVALID_ARGUMENT',
        /two\.png/,
      ],
      [
        () => read('images', { needMasks: false, groups: inside('odd.csv') }),
        'ERR_KFD_INVALID_ARGUMENT',
        /"one\.jpg"/,
      ],
    ];
    for (const [call, code, message] of cases) await assert.rejects(call, { code, message });
    assert.equal((await read('bare', { needMasks: false })).length, 2);
  });
});
