import { KfdError } from '../errors.js';
import { buildAddon } from './build.js';
import { setupLibtorch, type SetupOptions } from './libtorch/resolve.js';
import type { ResolvedLibtorch } from './libtorch/types.js';
import { testAddon, type LoadTestPassed } from './loadTest.js';
import { silentReporter } from './reporter.js';

export interface FullSetupOptions extends SetupOptions {
  /** Compilers at once; by default what cores and memory allow. */
  jobs?: number | undefined;
}

export interface SetupResult {
  libtorch: ResolvedLibtorch;
  /** False when the addon was up to date. */
  built: boolean;
  loadTest: LoadTestPassed;
}

/** The C library, or undefined on musl. */
export function glibcVersion(): string | undefined {
  const { header } = process.report.getReport() as unknown as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime;
}

function requireGlibc(): void {
  if (process.platform === 'linux' && glibcVersion() === undefined) {
    throw new KfdError(
      'ERR_KFD_LIBTORCH_NOT_FOUND',
      'This system has no glibc (musl?), and libtorch needs it',
      {
        hint: 'Use a distribution with glibc 2.28 or newer, such as Debian 10 or Ubuntu 18.10 and later.',
      },
    );
  }
}

/**
 * Everything between a checkout and a working addon: libtorch, build, load test. Each step is skipped when it is done
 * already; an interrupted run is taken up again.
 * @throws KfdError of the step that fails
 */
export async function setup(options: FullSetupOptions = {}): Promise<SetupResult> {
  const reporter = options.reporter ?? silentReporter;
  requireGlibc();
  const libtorch = await setupLibtorch(options);
  reporter.note(`libtorch ${libtorch.version} (${libtorch.source}: ${libtorch.why})`);
  const built = await buildAddon({
    libtorch,
    force: options.force === true,
    jobs: options.jobs,
    reporter,
    signal: options.signal,
  });
  reporter.note(built ? 'the addon is built' : 'the addon is up to date');
  const loadTest = await testAddon(options.signal);
  reporter.note(
    `load test passed: torch ${loadTest.runtime.torchVersion}, ${loadTest.runtime.cpuCapability}`,
  );
  return { libtorch, built, loadTest };
}
