/** Worker of llm.test.ts: writes prefixes until it is terminated. */
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { LlamaPrefix, openLlama } from '../../lib/native/llm.js';
import { requiredLlamaParts, smallPrefix } from './llamaParts.js';

const parts = requiredLlamaParts();
const prefix = await LlamaPrefix.load({
  library: openLlama({ folder: parts.folder }),
  ...smallPrefix(parts),
});
const file = path.join(workerData as string, 'worker.state');
for (;;) {
  parentPort?.postMessage('writing');
  await prefix.write({ file, pieces: [{ tokens: new Int32Array(100).fill(100) }] });
}
