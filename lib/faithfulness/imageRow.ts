import type { Curves } from './curves.js';
import type { Method } from './methods.js';
import type { MetricValues } from './metrics.js';

/** How much of a method's maps lies in the mask, by block. */
export interface BlockFigures {
  /** Share of the positive relevance inside the mask. */
  mass: number[];
  auroc: number[];
}

/** What one image gave; the rows of `kfd.daam-eval/1`. */
export interface ImageRow {
  image: string;
  group: string | null;
  status: 'ok' | 'no-face' | 'error';
  error: { code: string; message: string; hint: string | null } | null;
  /** m(x) of the unchanged image. */
  score: number | null;
  /** 1 fake, 0 real; or the class with the largest logit. */
  decision: number | null;
  /** The class in question, for classifiers. */
  class: number | null;
  /** Share of the network's view that lies in the mask: chance for `mass` and `pointing`. */
  mask_share: number | null;
  methods: Partial<Record<Method, MetricValues>>;
  /** Of flow methods: every block alone, and the running sum up to it. */
  blocks: Partial<Record<Method, { alone: BlockFigures; accumulated: BlockFigures }>>;
  curves: Partial<Record<Method, Curves>>;
}

export function emptyRow(image: string, group: string | undefined, status: ImageRow['status']): ImageRow {
  return {
    image,
    group: group ?? null,
    status,
    error: null,
    score: null,
    decision: null,
    class: null,
    mask_share: null,
    methods: {},
    blocks: {},
    curves: {},
  };
}
