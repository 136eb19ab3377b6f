import type { Argv } from 'yargs';

const CONDITIONINGS = ['auto', 'prompts', 'text', 'sentences'] as const;

/** Which language model speaks, and how it learns of the evidence. */
export function addExplainerOptions<T>(cli: Argv<T>) {
  return cli
    .option('explainer', {
      type: 'string',
      describe: 'Soft prompts, NAME.pt or NAME.kfd.json; default: the bundled ones',
    })
    .option('language-model', {
      type: 'string',
      describe: 'GGUF file; default: the one that setup fetched',
    })
    .option('conditioning', {
      choices: CONDITIONINGS,
      default: 'auto' as const,
      describe: 'How the language model learns of the evidence; sentences = no language model',
    });
}

/** What the detector needs to know of it: without soft prompts it computes none. */
export function detectorExplainer(args: {
  explainer?: string | undefined;
  conditioning: (typeof CONDITIONINGS)[number];
}): string | false | undefined {
  return args.conditioning === 'auto' || args.conditioning === 'prompts' ? args.explainer : false;
}
