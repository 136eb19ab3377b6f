import path from 'node:path';
import type { Argv, ArgumentsCamelCase } from 'yargs';
import { KfdError } from '../errors.js';
import { IMAGENET_INPUT } from '../native/imagenet.js';
import {
  requireModelManifest,
  type ManifestDraft,
  type ManifestInput,
  type ManifestVit,
} from '../setup/models.js';

/** Options of `model manifest`: what a manifest says beyond name, size and hash. */
export function addManifestOptions<T>(cli: Argv<T>) {
  return cli
    .option('like', {
      type: 'string',
      describe: 'Take what is not given here from this manifest (a model of the same shape)',
    })
    .option('kind', { choices: ['vit', 'kfd', 'face'] as const, describe: 'What the model is' })
    .option('name', { type: 'string', describe: 'Default: the file name' })
    .option('licence', {
      type: 'string',
      describe: 'Licence of the weights, as an SPDX identifier if there is one',
    })
    .option('source', { type: 'string', describe: 'Where the weights come from' })
    .option('maturity', {
      choices: ['demonstration', 'research', 'recommended'] as const,
      describe: 'What the model is good for; shown with every verdict',
    })
    .option('size', {
      type: 'number',
      array: true,
      describe: 'Input width and height in pixels; default 224 224',
    })
    .option('fit', {
      choices: ['stretch', 'crop', 'letterbox'] as const,
      describe: 'How a picture of other proportions is fitted; default stretch',
    })
    .option('mean', { type: 'number', array: true, describe: 'Three numbers; default: those of ImageNet' })
    .option('std', { type: 'number', array: true, describe: 'Three numbers; default: those of ImageNet' })
    .option('heads', { type: 'number', describe: 'Attention heads a block' })
    .option('patch', { type: 'number', describe: 'Side of a patch in pixels' })
    .option('prefix-tokens', { type: 'number', describe: 'Tokens before the patches; default 1' })
    .option('layer-norm-eps', { type: 'number', describe: 'Default 1e-6' })
    .option('activation', {
      choices: ['gelu', 'gelu_tanh', 'quick_gelu'] as const,
      describe: 'Of the MLP; default gelu',
    })
    .option('taps', { type: 'number', array: true, describe: 'Blocks whose tokens the detector reads' })
    .option('threshold', { type: 'number', describe: 'Scores at or above it are called fake' })
    .option('force', { type: 'boolean', default: false, describe: 'Replace a manifest that is there' });
}

type ManifestArguments = ArgumentsCamelCase<
  { file: string } & (ReturnType<typeof addManifestOptions<object>> extends Argv<infer U> ? U : never)
>;

function missing(option: string): KfdError {
  return new KfdError('ERR_KFD_USAGE', `A manifest needs --${option}`, {
    hint: 'Give it, or name a manifest to take it from with --like.',
  });
}

function triple(option: string, values: readonly number[]): readonly [number, number, number] {
  const [r, g, b] = values;
  if (
    values.length !== 3 ||
    r === undefined ||
    g === undefined ||
    b === undefined ||
    values.some(Number.isNaN)
  ) {
    throw new KfdError('ERR_KFD_USAGE', `--${option}: expected three numbers, received ${values.join(' ')}`);
  }
  return [r, g, b];
}

function inputOf(args: ManifestArguments, like: ManifestInput | undefined): ManifestInput {
  const [width, height, ...rest] = args.size ?? [like?.width ?? 224, like?.height ?? 224];
  if (width === undefined || height === undefined || rest.length > 0) {
    throw new KfdError(
      'ERR_KFD_USAGE',
      `--size: expected width and height, received ${(args.size ?? []).join(' ')}`,
    );
  }
  return {
    width,
    height,
    fit: args.fit ?? like?.fit ?? 'stretch',
    mean: triple('mean', args.mean ?? like?.mean ?? IMAGENET_INPUT.mean),
    std: triple('std', args.std ?? like?.std ?? IMAGENET_INPUT.std),
  };
}

function vitOf(args: ManifestArguments, like: ManifestVit | undefined): ManifestVit {
  const heads = args.heads ?? like?.heads;
  const patch = args.patch ?? like?.patch;
  if (heads === undefined) throw missing('heads');
  if (patch === undefined) throw missing('patch');
  return {
    heads,
    patch,
    prefixTokens: args.prefixTokens ?? like?.prefixTokens ?? 1,
    layerNormEps: args.layerNormEps ?? like?.layerNormEps ?? 1e-6,
    activation: args.activation ?? like?.activation ?? 'gelu',
    taps: args.taps ?? like?.taps ?? [],
  };
}

/**
 * The manifest that the options describe.
 * @throws KfdError ERR_KFD_USAGE naming the option that is missing, and those of reading `--like`
 */
export async function manifestDraft(args: ManifestArguments): Promise<ManifestDraft> {
  const like = args.like === undefined ? undefined : await requireModelManifest(args.like);
  const kind = args.kind ?? like?.kind;
  if (kind === undefined) throw missing('kind');
  const licence = args.licence ?? like?.licence;
  if (licence === undefined) throw missing('licence');
  const source = args.source ?? like?.source;
  if (source === undefined) throw missing('source');
  const draft: ManifestDraft = {
    name: args.name ?? path.parse(args.file).name,
    kind,
    licence,
    source,
    input: inputOf(args, like?.input),
  };
  if (kind !== 'face') draft.vit = vitOf(args, like?.vit);
  if (kind === 'kfd') {
    if (like?.kfd === undefined) throw missing('like');
    draft.kfd = { ...like.kfd, threshold: args.threshold ?? like.kfd.threshold };
    draft.maturity = args.maturity ?? 'research'; // unproven until its author says otherwise
  } else if (args.maturity !== undefined) {
    draft.maturity = args.maturity;
  }
  if (kind !== 'vit') {
    if (like?.face === undefined) throw missing('like');
    draft.face = like.face;
  }
  return draft;
}
