import { availableParallelism, cpus, totalmem } from 'node:os';
import { environmentConfig, packageVersion } from '../native/config.js';
import { planThreads } from '../native/threads.js';
import { addonState, type AddonState } from './addonState.js';
import type { DigestOptions } from './digest.js';
import { examineExplainer, type ExplainerHealth } from './explainerHealth.js';
import { findLibtorch } from './libtorch/resolve.js';
import type { Libtorch, SkippedSource } from './libtorch/types.js';
import { testAddon, type LoadTestPassed } from './loadTest.js';
import { defaultModel, verifyModel, type DefaultModelKind, type Maturity } from './models.js';
import { attempt, type Outcome } from './outcome.js';
import { glibcVersion } from './platform.js';
import { findBuildTools, findGit, findNpm, findPip, type FoundTool } from './tools.js';

export interface ModelHealth {
  kind: DefaultModelKind;
  name: string;
  path: string;
  sha256: string;
  maturity: Maturity | null;
}

/** What `doctor` finds, `kfd.doctor/1`. */
export interface Health {
  schema: 'kfd.doctor/1';
  /** Everything that a verdict needs works. */
  usable: boolean;
  version: string;
  node: { version: string; ok: boolean };
  platform: { os: string; arch: string; glibc: string | null };
  cpu: { model: string; cores: number; memoryBytes: number };
  /** What `auto` gives the engine here. */
  threads: { lanes: number; threadsPerLane: number };
  libtorch: Outcome<{ chosen: Libtorch | null; skipped: SkippedSource[] }>;
  addon: Outcome<AddonState>;
  /** KFD_ADDON, which is loaded instead of the package's own addon. */
  addonOverride: string | null;
  loadTest: Outcome<LoadTestPassed>;
  models: Outcome<ModelHealth>[];
  explainer: ExplainerHealth;
  tools: FoundTool[];
}

const MINIMUM_NODE = [20, 19] as const;

export function isNodeSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1]);
}

async function checkModel(kind: DefaultModelKind, options: DigestOptions): Promise<ModelHealth> {
  const manifest = await defaultModel(kind);
  const { sha256 } = await verifyModel(manifest, options);
  return { kind, name: manifest.name, path: manifest.modelPath, sha256, maturity: manifest.maturity ?? null };
}

/**
 * Repeats the decisions of `setup` without fetching or building anything, and tests what is there.
 * @throws KfdError ERR_KFD_ABORTED; every other problem is part of the result
 */
export async function examine(signal?: AbortSignal): Promise<Health> {
  const libtorch = await attempt(async () => {
    const { chosen, skipped } = await findLibtorch({ signal });
    return { chosen: chosen ?? null, skipped };
  });
  const addon = await attempt(addonState);
  const loadTest = await attempt(() => testAddon(signal));
  const models: Outcome<ModelHealth>[] = [];
  for (const kind of ['detector', 'face'] as const)
    models.push(await attempt(() => checkModel(kind, { signal })));
  const nodeOk = isNodeSupported(process.version);
  const { lanes, threadsPerLane } = planThreads({});
  return {
    schema: 'kfd.doctor/1',
    usable: nodeOk && loadTest.ok && models.every((model) => model.ok),
    version: packageVersion(),
    node: { version: process.version, ok: nodeOk },
    platform: { os: process.platform, arch: process.arch, glibc: glibcVersion() ?? null },
    cpu: { model: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), memoryBytes: totalmem() },
    threads: { lanes, threadsPerLane },
    libtorch,
    addon,
    addonOverride: environmentConfig().addon ?? null,
    loadTest,
    models,
    explainer: await examineExplainer(addon, signal),
    tools: [...(await findBuildTools()), await findPip(), await findNpm(), await findGit()],
  };
}
