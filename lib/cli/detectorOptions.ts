import type { Argv } from 'yargs';

/** Which detector judges, and from which score on it says fake. */
export function addDetectorOptions<T>(cli: Argv<T>) {
  return cli
    .option('threshold', {
      type: 'number',
      describe: 'Fake from this score on, 0 to 1; default: the model says',
    })
    .option('model', {
      type: 'string',
      describe: 'Detector, NAME.pt or NAME.kfd.json; default: the bundled one',
    })
    .option('face-model', { type: 'string', describe: 'Face detector; default: the bundled one' })
    .option('trust-model', {
      type: 'boolean',
      default: false,
      describe: 'Load --model without a manifest (it is a program)',
    });
}
