import type { Conditioning } from '../answerDocument.js';

/** What the evaluation asks of an explainer; a part of the options of `Explainer.load`. */
export interface ModeOptions {
  conditioning: Conditioning;
  /** Compare the answer with the evidence, send it back, replace what stays wrong. */
  check: boolean;
  decoding: 'free' | 'grammar' | 'decide';
  /** Soft rows (visual token, forgery prompts, score token) are all zero; the text around them stays. */
  ablatePrompts: boolean;
}

const PROMPTS: ModeOptions = {
  conditioning: 'prompts',
  check: true,
  decoding: 'free',
  ablatePrompts: false,
};

/** Ways to answer that are compared with each other. */
export const MODES = {
  full: PROMPTS,
  'no-check': { ...PROMPTS, check: false },
  'no-prompts': { ...PROMPTS, ablatePrompts: true },
  'text-only': { ...PROMPTS, conditioning: 'text' },
  grammar: { ...PROMPTS, decoding: 'grammar' },
  decide: { ...PROMPTS, decoding: 'decide' },
  sentences: { ...PROMPTS, conditioning: 'sentences' },
} as const satisfies Record<string, ModeOptions>;
export type Mode = keyof typeof MODES;

export const MODE_NAMES = Object.keys(MODES) as readonly Mode[];

/** What shows whether the prompts matter, whether the text alone would do, and what the sentences give without a model. */
export const DEFAULT_MODES: readonly Mode[] = ['full', 'no-prompts', 'text-only', 'sentences'];
