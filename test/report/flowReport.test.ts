import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { FLOW_FORMATS, VisionTransformer } from '../../lib/index.js';
import { inputOf, modelOf, readCase } from '../native/reference.js';

describe('flow: writeReport', () => {
  it('writes every format of a flow from the public API', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-flow-'));
    const reference = readCase('daam_plain');
    const vit = await VisionTransformer.load(modelOf(reference), {
      input: inputOf(reference),
      lanes: 1,
      threadsPerLane: 1,
    });
    try {
      const { width, height } = inputOf(reference);
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) % 256);
      const flow = await vit.daam({ data, width, height, channels: 3 }, { target: 'logit:1', pixels: true });
      const files = await flow.writeReport(folder, { formats: FLOW_FORMATS, name: 'noise' });
      assert.deepEqual(files.map((file) => path.basename(file)).sort(), (await readdir(folder)).sort());
      for (const name of ['noise.html', 'noise-sheet.png', 'noise.gif', 'noise.npz', 'noise.json']) {
        assert.ok(files.includes(path.join(folder, name)), name);
      }
      const document = JSON.parse(await readFile(path.join(folder, 'noise.json'), 'utf8')) as object;
      assert.deepEqual(document, JSON.parse(JSON.stringify(flow)));
    } finally {
      await vit.dispose();
      await rm(folder, { recursive: true });
    }
  });
});
