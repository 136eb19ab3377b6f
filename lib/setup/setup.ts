import { buildAddon } from './build.js';
import { carriedParts } from './carried.js';
import { presentHeaders, setupExplainer, type ExplainerParts } from './explainer.js';
import { setupLibtorch, type SetupOptions } from './libtorch/resolve.js';
import type { ResolvedLibtorch } from './libtorch/types.js';
import { testLlama, type LlamaTestPassed } from './llama/loadTest.js';
import { testAddon, type LoadTestPassed } from './loadTest.js';
import { requireGlibc } from './platform.js';
import { silentReporter } from './reporter.js';

export interface FullSetupOptions extends SetupOptions {
  /** Compilers at once; by default what cores and memory allow. */
  jobs?: number | undefined;
  /** false: fetch nothing for the explainer. Default true. */
  explainer?: boolean;
}

export interface SetupResult {
  libtorch: ResolvedLibtorch;
  /** null when it was left out. */
  explainer: (ExplainerParts & { loadTest: LlamaTestPassed }) | null;
  /** False when the addon was up to date. */
  built: boolean;
  loadTest: LoadTestPassed;
}

/**
 * Everything between a checkout and a working addon: libtorch, what the explainer needs, build, load tests. Each step is
 * skipped when it is done already; an interrupted run is taken up again.
 * @throws KfdError of the step that fails
 */
export async function setup(options: FullSetupOptions = {}): Promise<SetupResult> {
  const { reporter = silentReporter, signal } = options;
  requireGlibc();
  const carried = await carriedParts(options.from);
  const libtorch = await setupLibtorch({ ...options, from: carried.libtorch });
  reporter.note(`libtorch ${libtorch.version} (${libtorch.source}: ${libtorch.why})`);
  const parts = options.explainer === false ? null : await setupExplainer(options);
  const built = await buildAddon({
    libtorch,
    headers: parts?.headers ?? (await presentHeaders()),
    force: options.force === true,
    jobs: options.jobs,
    reporter,
    signal,
  });
  reporter.note(built ? 'the addon is built' : 'the addon is up to date');
  const loadTest = await testAddon(signal);
  reporter.note(
    `load test passed: torch ${loadTest.runtime.torchVersion}, ${loadTest.runtime.cpuCapability}`,
  );
  if (parts === null) return { libtorch, explainer: null, built, loadTest };
  const llamaTest = await testLlama(signal);
  reporter.note(`load test of the explainer passed: llama.cpp ${llamaTest.version}`);
  return { libtorch, explainer: { ...parts, loadTest: llamaTest }, built, loadTest };
}
