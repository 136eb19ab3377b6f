import type { LlamaPrefixOptions } from '../../lib/native/types.js';

/** The real libllama and language model, which test/run.mjs names in the environment. */
export interface LlamaParts {
  folder: string;
  model: string;
}

export function llamaParts(): LlamaParts | undefined {
  const folder = process.env['KFD_LLAMA_FOLDER'];
  const model = process.env['KFD_LANGUAGE_MODEL'];
  return folder === undefined || model === undefined ? undefined : { folder, model };
}

/** For child processes, which are only started where the parts are there. */
export function requiredLlamaParts(): LlamaParts {
  const parts = llamaParts();
  if (parts === undefined) throw new Error('KFD_LLAMA_FOLDER and KFD_LANGUAGE_MODEL are not set');
  return parts;
}

export const smallPrefix = ({ model }: LlamaParts, sequences = 1): LlamaPrefixOptions => ({
  model,
  sequences,
  contextSize: 256,
  threads: 1,
});
