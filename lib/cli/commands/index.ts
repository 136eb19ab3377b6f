import type { Command } from '../command.js';
import { benchCommand } from './bench.js';
import { daamCommand } from './daam.js';
import { daamBankCommand } from './daamBank.js';
import { daamEvalCommand } from './daamEval.js';
import { detectCommand } from './detect.js';
import { doctorCommand } from './doctor.js';
import { explainCommand } from './explain.js';
import { explainEvalCommand } from './explainEval.js';
import { modelCommand } from './model.js';
import { setupCommand } from './setup.js';

/** Every command, in the order of --help. One yargs module a file. */
export const commands: readonly Command[] = [
  setupCommand,
  doctorCommand,
  detectCommand,
  daamCommand,
  daamBankCommand,
  daamEvalCommand,
  explainCommand,
  explainEvalCommand,
  benchCommand,
  modelCommand,
];
