import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../../lib/native/config.js';
import { resolveNodeLlama } from '../../lib/setup/llama/resolve.js';

/** What we get from node-llama-cpp must be at least what nodeLlama.ts says; what we give it must be what it takes. */
function program(real: string, ours: string): string {
  return `
import type * as real from ${JSON.stringify(real)};
import type * as ours from ${JSON.stringify(ours)};
declare const module: typeof real;
declare const llama: real.Llama;
declare const model: real.LlamaModel;
declare const context: real.LlamaContext;
declare const sequence: real.LlamaContextSequence;
declare const session: real.LlamaChatSession;
export const given: [ours.Llama, ours.Model, ours.Context, ours.Sequence] = [llama, model, context, sequence];
export const chat: Omit<ours.ChatSession, 'promptWithMeta'> = session;
export const parts: Pick<ours.NodeLlama, 'SpecialTokensText' | 'ChatWrapper'> = module;
export const rendered: ours.LlamaText = module.LlamaText(['', new module.SpecialTokensText('')]);
declare const wrapper: ours.ChatWrapper;
export const text: Parameters<typeof wrapper.generateContextState>[0]['chatHistory'] = [];
declare const options: ours.LlamaOptions;
export const started = module.getLlama({ ...options, logger: options.logger });
declare const asked: Omit<ours.PromptOptions, 'grammar'>;
declare const grammar: real.LlamaGrammar;
export const answered: Promise<{ responseText: string; stopReason: string }> = session.promptWithMeta('', { ...asked, grammar });
export const compiled: ours.Grammar = grammar;
export const found: ours.ChatWrapper | undefined = module.resolveChatWrapper(model, { noJinja: true, warningLogs: false });
export const opened = new module.LlamaChatSession({ contextSequence: sequence, chatWrapper: module.resolveChatWrapper(model), autoDisposeSequence: false });
`;
}

describe('our types of node-llama-cpp', () => {
  it('fit its own declarations', async function () {
    this.timeout(300_000);
    const found = await resolveNodeLlama();
    assert.ok(found !== undefined, 'node-llama-cpp is not set up');
    const folder = await mkdtemp(path.join(packageRoot(), 'build', 'types-'));
    try {
      const file = path.join(folder, 'check.ts');
      const ours = path.join(packageRoot(), 'lib', 'explain', 'llama', 'nodeLlama.ts');
      await writeFile(file, program(fileURLToPath(found.entry), ours.replace(/ts$/, 'js')));
      const compiler = path.join(packageRoot(), 'node_modules', 'typescript', 'bin', 'tsc');
      const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2023', '--module', 'nodenext'];
      await promisify(execFile)(process.execPath, [compiler, ...flags, '--types', 'node', file], {
        cwd: packageRoot(),
      }).catch((error: unknown) => assert.fail((error as { stdout: string }).stdout));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
