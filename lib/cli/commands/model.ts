import { KfdError, toKfdError } from '../../errors.js';
import type { ModelInfo } from '../../native/types.js';
import {
  defaultModel,
  readAnyManifest,
  verifyAdapter,
  verifyModel,
  writeModelManifest,
  type ExplainerManifest,
  type ModelManifest,
} from '../../setup/models.js';
import { defineCommand, type Command } from '../command.js';
import { exitCodeOf } from '../exitCodes.js';
import { interruptSignal } from '../interrupt.js';
import { addManifestOptions, manifestDraft } from '../manifestOptions.js';
import { describeModel } from '../modelDescription.js';
import { formatTable, paint, writeError, writeJson, writeMessage, writeResult } from '../output.js';
import { startProgress } from '../progress.js';

/** What the engine finds in the model; undefined, with a message, where the addon is not built. */
async function loadInfo(manifest: ModelManifest | ExplainerManifest): Promise<ModelInfo | undefined> {
  if (manifest.kind === 'explainer') return undefined; // nothing by itself: it runs beside its detector
  const [{ Engine }, { loadOptionsFor }] = await Promise.all([
    import('../../native/engine.js'),
    import('../../vit/loadOptions.js'),
  ]);
  try {
    const engine = await Engine.create({ lanes: 1, threadsPerLane: 1 });
    try {
      const { modelPath, nativeOptions } = await loadOptionsFor(manifest.manifestPath);
      return (await engine.load(modelPath, nativeOptions)).info;
    } finally {
      await engine.dispose();
    }
  } catch (error) {
    if (toKfdError(error).code !== 'ERR_KFD_ADDON_MISSING') throw error;
    writeMessage('The addon is not built, so this is what the manifest says; `kfd-native setup` builds it.');
    return undefined;
  }
}

const infoCommand = defineCommand({
  command: 'info [model]',
  describe: 'Show what a model is, what it was trained on and what it is good for',
  builder: (cli) =>
    cli
      .positional('model', { type: 'string', describe: 'NAME.pt or NAME.kfd.json; default: the detector' })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object, kfd.model-info/1' })
      .option('load', {
        type: 'boolean',
        default: true,
        describe: 'Load it too and show what the engine makes of it; --no-load reads the manifest only',
      })
      .example('$0 model info', 'the default detector')
      .example('$0 model info weights/blazeface-256.pt --json', 'another model, for a program'),
  handler: async ({ model, json, load }) => {
    const manifest = model === undefined ? await defaultModel('detector') : await readAnyManifest(model);
    const description = describeModel(manifest, load ? await loadInfo(manifest) : undefined);
    if (json) await writeJson(description.json, true);
    else await writeResult(formatTable(description.rows));
  },
});

/** Verifies one model; an error is returned and not thrown, so that the others are verified too. */
async function verifyOne(
  model: string | ModelManifest | ExplainerManifest,
  quiet: boolean,
): Promise<VerifyResult> {
  const name = typeof model === 'string' ? model : model.modelPath;
  try {
    const manifest = typeof model === 'string' ? await readAnyManifest(model) : model;
    const progress = startProgress({ label: manifest.name, total: manifest.bytes, unit: 'bytes', quiet });
    try {
      const digest = await verifyModel(manifest, {
        signal: interruptSignal,
        onBytes: (bytes) => progress.update(bytes),
      });
      if (manifest.kind === 'explainer') await verifyAdapter(manifest, { signal: interruptSignal });
      return { path: manifest.modelPath, ok: true, sha256: digest.sha256, error: null };
    } finally {
      progress.stop();
    }
  } catch (error) {
    return { path: name, ok: false, sha256: null, error: toKfdError(error) };
  }
}

interface VerifyResult {
  path: string;
  ok: boolean;
  sha256: string | null;
  error: KfdError | null;
}

const verifyCommand = defineCommand({
  command: 'verify [models..]',
  describe: 'Compare model files with the size and SHA-256 in their manifests',
  builder: (cli) =>
    cli
      .positional('models', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'NAME.pt or NAME.kfd.json; default: the models of the package',
      })
      .option('json', { type: 'boolean', default: false, describe: 'One JSON object, kfd.model-verify/1' })
      .option('quiet', { type: 'boolean', default: false, describe: 'No progress bar' })
      .example('$0 model verify', 'the models of the package'),
  handler: async ({ models, json, quiet }) => {
    const wanted =
      models.length > 0
        ? models
        : [
            await defaultModel('detector'),
            await defaultModel('face'),
            ...[await defaultModel('explainer')].filter((manifest) => manifest !== undefined),
          ];
    const results: VerifyResult[] = [];
    for (const model of wanted) {
      const result = await verifyOne(model, quiet);
      results.push(result);
      if (!json && result.ok) {
        await writeResult(`${paint('green', 'ok')}  ${result.path}  ${result.sha256 ?? ''}`);
      }
      if (result.error !== null) {
        await writeError(result.error, false);
        process.exitCode = exitCodeOf(result.error.code);
      }
    }
    if (json) await writeJson({ schema: 'kfd.model-verify/1', models: results }, true);
  },
});

const manifestCommand = defineCommand({
  command: 'manifest <file>',
  describe: 'Write NAME.kfd.json beside a model that you trust',
  builder: (cli) =>
    addManifestOptions(
      cli.positional('file', { type: 'string', demandOption: true, describe: 'A TorchScript file, NAME.pt' }),
    )
      .example(
        '$0 model manifest vit.pt --kind vit --heads 6 --patch 14 --licence MIT --source https://example.org',
        'a vision transformer',
      )
      .example(
        '$0 model manifest mine.pt --like weights/mini-kfd.kfd.json --source "own training"',
        'a detector',
      ),
  handler: async (args) => {
    const manifest = await writeModelManifest(args.file, await manifestDraft(args), args.force);
    writeMessage(`Wrote ${manifest.manifestPath}`);
  },
});

export const modelCommand: Command = {
  command: 'model',
  describe: 'Model files and their manifests: info, verify, manifest',
  subcommands: [infoCommand, verifyCommand, manifestCommand],
  builder: (cli) =>
    cli
      .demandCommand(1, 'Give a command: info, verify or manifest.')
      .epilogue('Fields of a manifest: docs/setup.md'),
  handler: () => undefined,
};
