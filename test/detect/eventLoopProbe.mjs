// Preloaded with --import: writes the event loop's p99 delay in milliseconds into the file KFD_TEST_DELAY_FILE at exit.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
// loading the models is not part of the stream: start counting with the first result
const write = process.stdout.write;
process.stdout.write = function (...args) {
  process.stdout.write = write;
  delay.reset();
  return write.apply(process.stdout, args);
};
process.on('exit', () => writeFileSync(process.env.KFD_TEST_DELAY_FILE, String(delay.percentile(99) / 1e6)));
