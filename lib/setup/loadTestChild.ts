import { toKfdError } from '../errors.js';
import { Engine } from '../native/engine.js';
import type { LoadTestReport } from './loadTest.js';
import { defaultModel } from './models.js';

/** Runs in a process of its own (loadTest.ts): whatever a broken addon does, it does it here. */
async function run(): Promise<LoadTestReport> {
  const runtime = Engine.runtimeInfo();
  const engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
  try {
    const { modelPath, input } = await defaultModel('face');
    const started = performance.now();
    const model = await engine.load(modelPath, { kind: 'module', input });
    const data = new Float32Array(3 * input.height * input.width);
    const result = await model.run({ tensor: { shape: [1, 3, input.height, input.width], data } });
    const values = Object.values(result.arrays);
    if (values.length === 0 || !values.every((array) => array.data.every(Number.isFinite))) {
      throw new Error('The face detector gave no finite values.');
    }
    return { ok: true, runtime, milliseconds: Math.round(performance.now() - started) };
  } finally {
    await engine.dispose();
  }
}

const report = await run().catch((error: unknown): LoadTestReport => ({
  ok: false,
  error: toKfdError(error).toJSON(),
}));
process.stdout.write(JSON.stringify(report));
