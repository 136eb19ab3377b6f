import { spawn } from 'node:child_process';
import { KfdError, throwIfAborted } from '../errors.js';
import { childEnvironment } from '../native/config.js';
import { systemErrorCode } from './files.js';

export interface ChildOptions {
  cwd?: string;
  /** Changes to the environment; undefined removes a variable. */
  environment?: Record<string, string | undefined>;
  signal?: AbortSignal | undefined;
  /** Ends the child after this long; `timedOut` is then true. */
  timeoutMs?: number;
  /** Called with each piece of output, stdout and stderr alike. */
  onOutput?: ((text: string) => void) | undefined;
}

export interface ChildResult {
  /** null when a signal ended it */
  code: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  stdout: string;
  stderr: string;
}

const KILL_AFTER_MS = 3000;

/** Ends a child with everything it has started (its process group). */
function endGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error; // already over
  }
}

/**
 * Runs a program without a shell and collects what it prints. It gets a process group of its own, so that an abort ends
 * its children too (pip, make, compilers).
 * @throws KfdError ERR_KFD_TOOL_MISSING when there is no such program, ERR_KFD_ABORTED
 */
export async function runChild(
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Promise<ChildResult> {
  throwIfAborted(options.signal);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: childEnvironment(options.environment),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const collected = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      collected[name] += text;
      options.onOutput?.(text);
    });
  }
  let timedOut = false;
  const timers: NodeJS.Timeout[] = [];
  const end = (): void => {
    const { pid } = child;
    if (pid === undefined) return;
    endGroup(pid, 'SIGTERM');
    timers.push(setTimeout(() => endGroup(pid, 'SIGKILL'), KILL_AFTER_MS));
  };
  if (options.timeoutMs !== undefined) {
    timers.push(
      setTimeout(() => {
        timedOut = true;
        end();
      }, options.timeoutMs),
    );
  }
  options.signal?.addEventListener('abort', end, { once: true });
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (...status) => resolve(status));
    });
    throwIfAborted(options.signal);
    return { code, signal, timedOut, ...collected };
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new KfdError('ERR_KFD_TOOL_MISSING', `The program ${command} is not installed or not on PATH`, {
      cause: error,
      hint: installHint(command),
    });
  } finally {
    options.signal?.removeEventListener('abort', end);
    timers.forEach((timer) => clearTimeout(timer));
  }
}

/** Which Debian package brings a program. */
const DEBIAN_PACKAGES: Readonly<Record<string, string>> = {
  cmake: 'cmake',
  'g++': 'g++',
  'c++': 'g++',
  make: 'make',
  ninja: 'ninja-build',
  python3: 'python3-pip',
  pip: 'python3-pip',
  npm: 'npm',
  git: 'git',
};

export function installHint(tool: string): string {
  const name = DEBIAN_PACKAGES[tool];
  return name === undefined
    ? `Install ${tool} and try again.`
    : `Install it, on Debian or Ubuntu with \`apt-get install ${name}\`.`;
}

/** The last lines of a program's output, for error messages. */
export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
