import { KfdError } from '../errors.js';
import type { Maturity } from '../setup/modelManifest.js';
import type { AnswerRound, Conditioning, FileIdentity } from './answerDocument.js';

/**
 * How answers are generated: 'free'; 'grammar', which admits only answers that are true of the face; 'decide', where the
 * language model decides about each region and the evidence's own sentences say so.
 */
export type Decoding = 'free' | 'grammar' | 'decide';

export interface ExplainerOptions {
  /** A GGUF file; default: the language model that the explainer was trained for, fetched by `kfd-native setup`. */
  model?: string | undefined;
  /** The explainer's manifest (NAME.kfd.json); default: the package's own. */
  explainer?: string | undefined;
  /**
   * How the language model learns of the evidence. 'auto' takes soft prompts where the language model is the one that
   * the explainer was trained for, text for any other GGUF, and the evidence's own sentences where neither is possible;
   * `info().fallback` says why. Anything else is taken or refused.
   */
  conditioning?: Conditioning | 'auto' | undefined;
  /** Rounds in all for one question: 2 sends a contradicted answer back once. 1 to 5; default 2; 1 with 'decide'. */
  maxRounds?: number | undefined;
  /** False: claims are reported, but nothing is sent back or replaced. Default true. */
  check?: boolean | undefined;
  decoding?: Decoding | undefined;
  /** Dialogues that can be open at the same time; default 4. */
  dialogues?: number | undefined;
  /** Threads of the language model; default 1. */
  threads?: number | undefined;
  /** Tokens of one answer; default 160. */
  maxTokens?: number | undefined;
  /** Tokens of one dialogue that the language model sees; default 1024. */
  contextSize?: number | undefined;
  /** 'auto' takes a graphics processor where node-llama-cpp finds one. Default false. */
  gpu?: false | 'auto' | undefined;
  /** All soft rows zero: what explain-eval compares with. @internal */
  ablatePrompts?: boolean | undefined;
}

export type ResolvedOptions = {
  [Name in Exclude<keyof ExplainerOptions, 'model' | 'explainer'>]-?: Exclude<
    ExplainerOptions[Name],
    undefined
  >;
} & Pick<ExplainerOptions, 'model' | 'explainer'>;

export interface ExplainerInfo {
  conditioning: Conditioning;
  /** Why 'auto' did not take soft prompts; null where it did, and where something else was asked for. */
  fallback: string | null;
  decoding: Decoding;
  maxRounds: number;
  check: boolean;
  dialogues: number;
  threads: number;
  contextSize: number;
  languageModel: FileIdentity | null;
  adapter: (FileIdentity & { scale: number }) | null;
  prompts: (FileIdentity & { maturity: Maturity }) | null;
  /** The detector that the explainer was trained for. */
  detector: FileIdentity | null;
  nodeLlama: { version: string; folder: string; variant: string } | null;
}

export interface AskOptions {
  /**
   * The text as it is generated. `round` counts from 1; 0 is text from the evidence itself. A later round replaces what
   * came before it, and `answer.text` is what holds in the end.
   */
  onText?: ((text: string, at: { round: number }) => void) | undefined;
  /** After each round, with what the check found. */
  onRound?: ((round: AnswerRound, at: { round: number }) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const CONDITIONINGS: readonly string[] = ['auto', 'prompts', 'text', 'sentences'];
const DECODINGS: readonly string[] = ['free', 'grammar', 'decide'];
/** A question, an answer, a correction and its answer must fit behind the prefix. */
const SMALLEST_CONTEXT = 768;

function refuse(name: string, expected: string, received: unknown): never {
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected ${name} to be ${expected} but received ${JSON.stringify(received)}.`,
    { hint: 'docs/explain.md describes the options of an explainer.' },
  );
}

function integer(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number;
  return refuse(name, `an integer from ${least} to ${most}`, value);
}

function oneOf<Value>(name: string, value: Value, allowed: readonly unknown[]): Value {
  return allowed.includes(value)
    ? value
    : refuse(name, allowed.map((each) => JSON.stringify(each)).join(', '), value);
}

function filePath(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return;
  refuse(name, 'the path of a file', value);
}

/**
 * Fills in the defaults.
 *
 * @throws KfdError ERR_KFD_INVALID_ARGUMENT naming the option, what was expected and what came
 */
export function resolveOptions(options: ExplainerOptions): ResolvedOptions {
  filePath('model', options.model);
  filePath('explainer', options.explainer);
  const contextSize = integer('contextSize', options.contextSize ?? 1024, SMALLEST_CONTEXT, 131_072);
  const decoding = oneOf('decoding', options.decoding ?? 'free', DECODINGS);
  return {
    model: options.model,
    explainer: options.explainer,
    conditioning: oneOf('conditioning', options.conditioning ?? 'auto', CONDITIONINGS),
    maxRounds: decoding === 'decide' ? 1 : integer('maxRounds', options.maxRounds ?? 2, 1, 5),
    check: oneOf('check', options.check ?? true, [true, false]),
    decoding,
    dialogues: integer('dialogues', options.dialogues ?? 4, 1, 64),
    threads: integer('threads', options.threads ?? 1, 1, 256),
    maxTokens: integer('maxTokens', options.maxTokens ?? 160, 1, Math.floor(contextSize / 4)),
    contextSize,
    gpu: oneOf('gpu', options.gpu ?? false, [false, 'auto']),
    ablatePrompts: oneOf('ablatePrompts', options.ablatePrompts ?? false, [true, false]),
  };
}
