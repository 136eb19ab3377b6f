import path from 'node:path';
import { KfdError } from '../errors.js';
import { environmentConfig } from '../native/config.js';
import { runChild } from './child.js';

/** A program that set-up or a feature needs. Any one of `commands` will do. */
interface ToolNeed {
  name: string;
  commands: readonly string[];
  debianPackage: string;
  purpose: string;
}

const BUILD_TOOLS: readonly ToolNeed[] = [
  { name: 'cmake', commands: ['cmake'], debianPackage: 'cmake', purpose: 'builds the addon' },
  {
    name: 'C++ compiler',
    commands: ['c++', 'g++', 'clang++'],
    debianPackage: 'g++',
    purpose: 'builds the addon',
  },
  { name: 'ninja or make', commands: ['ninja', 'make'], debianPackage: 'make', purpose: 'builds the addon' },
];

export interface FoundTool {
  name: string;
  purpose: string;
  /** The command that was found, with the first line of its --version; null when none is there. */
  command: string | null;
  version: string | null;
  debianPackage: string;
}

async function versionOf(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const child = await runChild(command, args, { timeoutMs: 20_000 });
    return child.code === 0 ? (child.stdout.split('\n')[0] ?? '').trim() : undefined;
  } catch (error) {
    if (error instanceof KfdError && error.code === 'ERR_KFD_TOOL_MISSING') return undefined;
    throw error;
  }
}

async function findTool(need: ToolNeed, args: readonly string[] = ['--version']): Promise<FoundTool> {
  const { name, purpose, debianPackage } = need;
  for (const command of need.commands) {
    const version = await versionOf(command, args);
    if (version !== undefined) return { name, purpose, command, version, debianPackage };
  }
  return { name, purpose, command: null, version: null, debianPackage };
}

/** What is needed to compile the addon, found or not. */
export function findBuildTools(): Promise<FoundTool[]> {
  return Promise.all(BUILD_TOOLS.map((need) => findTool(need)));
}

/** The pip that fetches the wheel. */
export function findPip(): Promise<FoundTool> {
  const { python } = environmentConfig();
  const need = { name: 'pip', commands: [python], debianPackage: 'python3-pip', purpose: 'fetches libtorch' };
  return findTool(need, ['-m', 'pip', '--version']);
}

/** npm on PATH, else the one that was installed with this Node. */
export function findNpm(): Promise<FoundTool> {
  const beside = path.join(path.dirname(process.execPath), 'npm');
  const purpose = 'installs node-llama-cpp, for the explainer';
  return findTool({ name: 'npm', commands: ['npm', beside], debianPackage: 'npm', purpose });
}

export function findGit(): Promise<FoundTool> {
  const purpose = 'reads the headers of llama.cpp, for the explainer';
  return findTool({ name: 'git', commands: ['git'], debianPackage: 'git', purpose });
}

/**
 * The npm to run.
 * @throws KfdError ERR_KFD_TOOL_MISSING
 */
export async function requireNpm(): Promise<string> {
  const { command } = await findNpm();
  if (command !== null) return command;
  throw new KfdError('ERR_KFD_TOOL_MISSING', 'npm is not installed or not on PATH: the explainer needs it', {
    hint:
      'npm comes with Node; on Debian or Ubuntu: `apt-get install npm`. Without it: name an installed node-llama-cpp ' +
      'with KFD_NODE_LLAMA_CPP, or set up without the explainer: --no-explainer.',
  });
}

/**
 * @throws KfdError ERR_KFD_TOOL_MISSING naming everything that is missing and one command that installs it
 */
export async function requireBuildTools(): Promise<FoundTool[]> {
  const tools = await findBuildTools();
  const missing = tools.filter((tool) => tool.command === null);
  if (missing.length === 0) return tools;
  const packages = missing.map((tool) => tool.debianPackage).join(' ');
  throw new KfdError(
    'ERR_KFD_TOOL_MISSING',
    `Building the addon needs ${missing.map((tool) => tool.name).join(', ')}: not installed or not on PATH`,
    { hint: `On Debian or Ubuntu: \`apt-get install ${packages}\`.` },
  );
}
