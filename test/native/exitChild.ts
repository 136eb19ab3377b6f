/**
 * Child process of exit.test.ts: node exitChild.js MODE MODEL. Starts work that takes several hundred milliseconds and
 * ends the process in the way the mode says.
 */
import { Engine } from '../../lib/native/engine.js';
import { rampImage, slowTensor } from './reference.js';

const [, , mode = '', modelPath = ''] = process.argv;
const engine = await Engine.create({ lanes: 2, threadsPerLane: 1 });
const input = { width: 48, height: 48, fit: 'stretch', mean: [0, 0, 0], std: [1, 1, 1] } as const;
const model = await engine.load(modelPath, { kind: 'vit', input });
await model.run({ image: rampImage(48, 48) }); // a first run has made all of libtorch's statics
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const work = model.run({ tensor: slowTensor(1024) });
if (mode === 'return') {
  void work.then(({ arrays }) => say(`result ${String(arrays['logits']?.shape)}`));
} else {
  work.catch((error: unknown) => say((error as { code: string }).code));
}

const flow = model.flow({ tensor: slowTensor(256) });
const walk = model.blocks({ tensor: slowTensor(1024) });
const afterSomeWork = 30;
switch (mode) {
  case 'return':
    break;
  case 'exit':
    setTimeout(() => process.exit(7), afterSomeWork);
    break;
  case 'really-exit': // what test runners and signal handlers of other packages do
    setTimeout(
      () => (process as unknown as { reallyExit: (code: number) => never }).reallyExit(8),
      afterSomeWork,
    );
    break;
  case 'throw':
    setTimeout(() => {
      throw new Error('uncaught on purpose');
    }, afterSomeWork);
    break;
  case 'reject':
    setTimeout(() => void Promise.reject(new Error('unhandled on purpose')), afterSomeWork);
    break;
  case 'dispose':
    setTimeout(() => void engine.dispose().then(() => say('disposed')), afterSomeWork);
    break;
  case 'dispose-and-exit':
    setTimeout(() => {
      void engine.dispose();
      process.exit(9);
    }, afterSomeWork);
    break;
  case 'parked-walk': // a walk between two blocks keeps nothing alive
    await walk.next();
    break;
  case 'parked-flow': // nor does a flow between two passes
    await flow.forward();
    break;
  case 'exit-in-flow':
    void flow.forward();
    setTimeout(() => process.exit(11), afterSomeWork);
    break;
  case 'exit-in-callback':
    void model.run({ image: rampImage(48, 48) }).finally(() => process.exit(10));
    break;
  case 'wait':
    say('working');
    setInterval(() => void model.run({ tensor: slowTensor(64) }).catch(() => undefined), 10);
    break;
  default:
    throw new Error(`unknown mode ${mode}`);
}
