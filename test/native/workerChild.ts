/** Worker of workers.test.ts: runs jobs until it is told to stop, to exit, or is terminated. */
import { parentPort, workerData } from 'node:worker_threads';
import { Engine } from '../../lib/native/engine.js';
import { rampImage, slowTensor } from './reference.js';

const { modelPath, mode } = workerData as { modelPath: string; mode: 'once' | 'forever' | 'exit' };
const engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
const input = { width: 48, height: 48, fit: 'stretch', mean: [0, 0, 0], std: [1, 1, 1] } as const;
const model = await engine.load(modelPath, { kind: 'vit', input });

async function gradientFlow(): Promise<void> {
  using flow = model.flow({ tensor: slowTensor(16) });
  await flow.forward();
  const target = { kind: 'logits', weights: new Float32Array(10).fill(1) } as const;
  await flow.begin({ coefficients: 'gradient', targets: [target] });
  for await (const event of flow.events()) if (event.last) return;
}

const { arrays } = await model.run({ image: rampImage(48, 48) });
parentPort?.postMessage(arrays['logits']?.data);
if (mode === 'once') {
  await engine.dispose();
} else {
  if (mode === 'exit') setTimeout(() => process.exit(3), 20);
  for (;;) {
    await Promise.all([
      model.run({ tensor: slowTensor(128) }),
      model.run({ image: rampImage(48, 48) }),
      model.blocks({ tensor: slowTensor(64) }).next(),
      gradientFlow(),
    ]);
  }
}
