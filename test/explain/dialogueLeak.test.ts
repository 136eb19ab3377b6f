import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Growth } from '../native/memoryGrowth.js';

describe('a hundred dialogues', () => {
  it('leave memory flat and no files behind', async function () {
    this.timeout(1_200_000);
    const folder = await mkdtemp(path.join(tmpdir(), 'dialogue-leak-'));
    try {
      const child = fileURLToPath(new URL('./dialogueLeakChild.js', import.meta.url));
      const env = { ...process.env, MALLOC_ARENA_MAX: '1', TMPDIR: folder };
      const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', child], { env });
      const { dialogues, folders } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
        dialogues: Growth;
        folders: number;
      };
      assert.equal(dialogues.rounds, 100);
      // One lost state would be 1.6 MB a round.
      assert.ok(dialogues.rss < 32_768, `${dialogues.rss.toFixed(0)} bytes of resident memory a dialogue`);
      assert.ok(dialogues.arrayBuffers < 32_768, `${dialogues.arrayBuffers} bytes of buffers a dialogue`);
      assert.equal(folders, 0, 'temporary folders were left');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
