import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../lib/native/config.js';

/** Runs the built command line (`npm run build`) in a child process, as a user does. */

const root = packageRoot();
export const CLI = path.join(root, 'dist', 'cli', 'main.js');
export const photo = (name: string): string => path.join(root, 'test', 'fixtures', 'photos', name);

/** The detector under test: the bundled one, or another by the variable KFD_TEST_MODEL. */
export const testModel: string | undefined = process.env['KFD_TEST_MODEL'];
const modelArguments = testModel === undefined ? [] : ['--model', path.resolve(testModel)];

export interface CommandResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  cwd?: string;
  input?: Uint8Array | string;
  /** Extra arguments for Node itself. */
  nodeArguments?: readonly string[];
  onStart?: (child: ChildProcess) => void;
}

/** `kfd-native detect ...` with the detector under test. */
export function detect(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return command(['detect', ...modelArguments, ...args], options);
}

export function command(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawn(process.execPath, [...(options.nodeArguments ?? []), CLI, ...args], {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: '1', KFD_MODEL: '' },
    stdio: 'pipe',
  });
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout.on('data', (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.stderr.push(chunk));
  child.stdin.on('error', () => undefined); // the command may end without reading it
  child.stdin.end(options.input ?? '');
  options.onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({
        code,
        signal,
        stdout: Buffer.concat(chunks.stdout).toString('utf8'),
        stderr: Buffer.concat(chunks.stderr).toString('utf8'),
      }),
    );
  });
}
