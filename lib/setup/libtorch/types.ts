import type { LibtorchFacts } from './verify.js';

/** Where a libtorch comes from, in the order in which they are tried. */
export const SOURCES = ['explicit', 'python', 'cache', 'wheel', 'archive'] as const;
export type LibtorchSource = (typeof SOURCES)[number];

export interface Libtorch extends LibtorchFacts {
  source: LibtorchSource;
  /** Why this one, in words. */
  why: string;
}

export interface SkippedSource {
  source: LibtorchSource;
  why: string;
}

/** The libtorch that is used, and why those before it were not. */
export interface ResolvedLibtorch extends Libtorch {
  skipped: readonly SkippedSource[];
}
