/**
 * Child process of llm.test.ts: node llmChild.js MODE FOLDER. FOLDER is for state files; the libraries come from the
 * environment. Prints one JSON line in the bridge modes; the others end the process in the way the mode says.
 */
import path from 'node:path';
import { LlamaPrefix, openLlama } from '../../lib/native/llm.js';
import { resolveNodeLlama } from '../../lib/setup/llama/resolve.js';
import { requiredLlamaParts, smallPrefix } from './llamaParts.js';

/** What the bridge needs of node-llama-cpp's public interface. */
interface Sequence {
  contextTokens: number[];
  evaluate(tokens: number[], options: { temperature: 0 }): AsyncGenerator<number, void>;
  loadStateFromFile(file: string, risk: { acceptRisk: true }): Promise<void>;
}
interface Context {
  getSequence(): Sequence;
  dispose(): Promise<void>;
}
interface Llama {
  loadModel(options: { modelPath: string }): Promise<{
    createContext(options: {
      contextSize: number;
      sequences: number;
      threads: number;
      flashAttention: false;
    }): Promise<Context>;
  }>;
  dispose(): Promise<void>;
}

export interface BridgeReport {
  /** Greedy continuations by node-llama-cpp alone, and after the prefix from the state file. */
  alone: number[];
  bridged: number[];
  /** The token list that came with the state. */
  tokens: number[];
  placeholders: number[];
  /** What node-llama-cpp says to a state of another number of sequences. */
  foreign: string;
  /** Whether the prefix writer gave the same file again after node-llama-cpp was disposed. */
  repeated: boolean;
}

const [, , mode = '', folder = ''] = process.argv;
const parts = requiredLlamaParts();

async function createLlama(): Promise<Llama> {
  const found = await resolveNodeLlama();
  if (found === undefined) throw new Error('node-llama-cpp is not set up');
  const module = (await import(found.entry)) as { getLlama(options: object): Promise<Llama> };
  const options = { gpu: false, build: 'never', skipDownload: true, logLevel: 'disabled', maxThreads: 1 };
  return module.getLlama(options);
}

const loadPrefix = (sequences: number): Promise<LlamaPrefix> =>
  LlamaPrefix.load({ library: openLlama({ folder: parts.folder }), ...smallPrefix(parts, sequences) });

async function continuation(sequence: Sequence, tokens: Iterable<number>): Promise<number[]> {
  const found: number[] = [];
  for await (const token of sequence.evaluate([...tokens], { temperature: 0 }))
    if (found.push(token) === 12) break;
  return found;
}

async function bridge(oursFirst: boolean): Promise<BridgeReport> {
  const sequences = 2;
  let prefix = oursFirst ? await loadPrefix(sequences) : undefined;
  const llama = await createLlama();
  prefix ??= await loadPrefix(sequences);
  const single = await loadPrefix(1);
  const start = prefix.tokenize('<|im_start|>user\nThe capital of France', { special: true });
  const question = prefix.tokenize(' is called what?<|im_end|>\n<|im_start|>assistant\n', { special: true });
  const file = path.join(folder, 'bridge.state');
  const foreignFile = path.join(folder, 'foreign.state');
  await prefix.write({ file, pieces: [{ tokens: start }] });
  await single.write({ file: foreignFile, pieces: [{ tokens: start }] });
  await single.close();

  const model = await llama.loadModel({ modelPath: parts.model });
  const context = await model.createContext({
    contextSize: 256,
    sequences,
    threads: 1,
    flashAttention: false,
  });
  const first = context.getSequence();
  const alone = await continuation(first, [...start, ...question]);
  const second = context.getSequence();
  const foreign = await second.loadStateFromFile(foreignFile, { acceptRisk: true }).then(
    () => 'loaded',
    (error: unknown) => (error as Error).message,
  );
  await second.loadStateFromFile(file, { acceptRisk: true });
  const tokens = [...second.contextTokens];
  const bridged = await continuation(second, question);
  // Ids that stand for rows come back as they were given, whatever they are.
  const placeholders = Int32Array.of(3, 5, 14);
  const rows = new Float32Array(placeholders.length * prefix.width).fill(0.01);
  await prefix.write({ file, pieces: [{ tokens: start }, { rows, placeholders }] });
  await first.loadStateFromFile(file, { acceptRisk: true });
  const listed = [...first.contextTokens].slice(start.length);
  await context.dispose();
  await llama.dispose();
  const again = await prefix.write({ file, pieces: [{ tokens: start }], logits: true });
  await prefix.close();
  return {
    alone,
    bridged,
    tokens: tokens.slice(0, start.length),
    placeholders: listed,
    foreign,
    repeated: again.positions === start.length && again.logits?.every(Number.isFinite) === true,
  };
}

const work = (prefix: LlamaPrefix, positions: number): Promise<unknown> =>
  prefix.write({
    file: path.join(folder, 'work.state'),
    pieces: [{ tokens: new Int32Array(positions).fill(100) }],
  });

/** Resident memory in MiB after each of several rounds of loading, writing and closing. */
async function residentMemory(): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < 8; i++) {
    const prefix = await loadPrefix(1);
    for (let j = 0; j < 5; j++) await work(prefix, 3);
    await prefix.close();
    globalThis.gc?.();
    found.push(process.memoryUsage().rss / 2 ** 20);
  }
  return found;
}

switch (mode) {
  case 'memory':
    process.stdout.write(`${JSON.stringify(await residentMemory())}\n`);
    break;
  case 'ours-first':
  case 'theirs-first':
    process.stdout.write(`${JSON.stringify(await bridge(mode === 'ours-first'))}\n`);
    break;
  case 'return': {
    // Neither closed nor waited for: the write keeps the process alive, the idle model does not.
    const prefix = await loadPrefix(1);
    void work(prefix, 40).then(() => process.stdout.write('written\n'));
    break;
  }
  case 'exit':
    void work(await loadPrefix(1), 250);
    setTimeout(() => process.exit(7), 30);
    break;
  case 'really-exit':
    void work(await loadPrefix(1), 250);
    setTimeout(() => (process as unknown as { reallyExit: (code: number) => never }).reallyExit(8), 30);
    break;
  case 'exit-in-load':
    void loadPrefix(1);
    setTimeout(() => process.exit(9), 30);
    break;
  default:
    throw new Error(`unknown mode ${mode}`);
}
