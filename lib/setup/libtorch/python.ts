import path from 'node:path';
import { KfdError, toKfdError } from '../../errors.js';
import type { EnvironmentConfig } from '../../native/config.js';
import { lastLines, runChild } from '../child.js';
import type { LibtorchLock } from './lock.js';
import type { Libtorch } from './types.js';
import { checkCompatible, inspectLibtorch } from './verify.js';

/** Finds torch without importing it, which would cost seconds and start its threads. */
const LOCATE_TORCH = `
import importlib.util, json, os
spec = importlib.util.find_spec("torch")
print(json.dumps({"root": os.path.dirname(spec.origin) if spec and spec.origin else None}))
`;

/** The interpreter to ask, and why; undefined when no Python environment is active and none was asked for. */
function chooseInterpreter(environment: EnvironmentConfig): { python: string; why: string } | undefined {
  if (environment.pythonEnvironment !== undefined) {
    const python = path.join(environment.pythonEnvironment, 'bin', 'python');
    return { python, why: `the torch of the active Python environment ${environment.pythonEnvironment}` };
  }
  if (!environment.usePyTorch) return undefined;
  return { python: environment.python, why: `KFD_USE_PYTORCH asks for the torch of ${environment.python}` };
}

async function locateTorch(python: string, signal: AbortSignal | undefined): Promise<string> {
  const child = await runChild(python, ['-c', LOCATE_TORCH], { signal, timeoutMs: 60_000 });
  if (child.code !== 0) {
    throw new KfdError('ERR_KFD_LIBTORCH_NOT_FOUND', `${python} fails: ${lastLines(child.stderr, 1)}`);
  }
  const { root } = JSON.parse(child.stdout) as { root: string | null };
  if (root === null) {
    throw new KfdError('ERR_KFD_LIBTORCH_NOT_FOUND', `${python} has no torch installed`, {
      hint: 'Install torch there, or let `kfd-native setup` fetch its own.',
    });
  }
  return root;
}

/**
 * The torch of the active Python environment (VIRTUAL_ENV, CONDA_PREFIX), or of KFD_PYTHON with KFD_USE_PYTORCH=1.
 * @returns the libtorch, or why there is none
 * @throws KfdError when KFD_USE_PYTORCH=1 asks for it and it cannot be used
 */
export async function pythonLibtorch(
  environment: EnvironmentConfig,
  lock: LibtorchLock,
  signal: AbortSignal | undefined,
): Promise<Libtorch | string> {
  const chosen = chooseInterpreter(environment);
  if (chosen === undefined) return 'no Python environment is active and KFD_USE_PYTORCH is not set';
  try {
    const facts = await inspectLibtorch(await locateTorch(chosen.python, signal));
    checkCompatible(facts, lock, environment.skipTorchVersionCheck);
    return { ...facts, source: 'python', why: chosen.why };
  } catch (error) {
    const problem = toKfdError(error);
    if (environment.usePyTorch || problem.code === 'ERR_KFD_ABORTED') throw problem;
    return problem.message;
  }
}
