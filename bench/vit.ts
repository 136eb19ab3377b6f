/**
 * Speed of a vision transformer on this machine, as JSON:
 *
 *   npm run build:tests && node build/ts/bench/vit.js FILE.pt [SECONDS] [BATCH]
 *
 * FILE.pt is a TorchScript file; a manifest beside it is used. Every trial is a process of its own, and the peer, the
 * module's own TorchScript forward, runs in the same process and in turn with the engine.
 */
import { benchmarkVit } from '../lib/vit/benchmark.js';

const [, , file, seconds = '5', batch = '4'] = process.argv;
if (file === undefined) {
  process.stderr.write('usage: node build/ts/bench/vit.js FILE.pt [SECONDS] [BATCH]\n');
  process.exitCode = 2;
} else {
  const report = await benchmarkVit({ file, seconds: Number(seconds), batch: Number(batch) });
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
}
