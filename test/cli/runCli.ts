import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';

/** The command line as users start it, compiled with the tests. */
export const CLI = path.join(packageRoot(), 'build', 'ts', 'lib', 'cli', 'main.js');

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  environment?: Record<string, string>;
  /** Another copy of main.js. */
  cli?: string;
  /** Called once the child runs. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs the command line in a child process, with an environment in which no KFD_* variable of ours is set. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(KFD_|CI$|FORCE_COLOR$|VIRTUAL_ENV$)/.test(name),
  );
  const child = spawn(process.execPath, [options.cli ?? CLI, ...args], {
    cwd: options.cwd,
    env: { ...Object.fromEntries(inherited), ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  options.onStart?.(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
