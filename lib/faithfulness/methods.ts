import type { ModelInfo, NativeFlowPass } from '../native/types.js';

/** How a flow method is read from the engine: which pass, and which of its arrays. */
export interface FlowMethodSource {
  coefficients: NativeFlowPass['coefficients'];
  allRows: boolean;
  /** U with the coefficients as they are, U_relu with max(C, 0). */
  array: 'U' | 'U_relu';
}

/** Attention flow: one map a block, and their running sum. `-all`: every token row is decomposed. */
export const FLOW_METHODS = {
  gradient: { coefficients: 'gradient', allRows: false, array: 'U_relu' },
  'signed-gradient': { coefficients: 'gradient', allRows: false, array: 'U' },
  'class-row': { coefficients: 'class-row', allRows: false, array: 'U_relu' },
  direct: { coefficients: 'direct', allRows: false, array: 'U' },
  'gradient-all': { coefficients: 'gradient', allRows: true, array: 'U_relu' },
  'signed-gradient-all': { coefficients: 'gradient', allRows: true, array: 'U' },
  'direct-all': { coefficients: 'direct', allRows: true, array: 'U' },
} as const satisfies Record<string, FlowMethodSource>;
export type FlowMethod = keyof typeof FLOW_METHODS;

/** Maps of others that come out of the same gradient pass, and what any map must beat. */
const OTHER_METHODS = ['rollout', 'attention', 'gradcam', 'locator', 'prior', 'random'] as const;
export type Method = FlowMethod | (typeof OTHER_METHODS)[number];
export const METHODS: readonly Method[] = [...(Object.keys(FLOW_METHODS) as FlowMethod[]), ...OTHER_METHODS];

export const isFlowMethod = (method: Method): method is FlowMethod => method in FLOW_METHODS;
const NEEDS_CLASS_TOKEN: readonly Method[] = ['rollout', 'attention', 'gradcam'];
/** These three need no reverse pass but come with it. */
export const isBaseline = (method: Method): boolean => NEEDS_CLASS_TOKEN.includes(method);

/** What decides which methods have a meaning. */
export interface MethodContext {
  info: ModelInfo;
  /** The target's value comes from patch tokens, not from the class token alone. */
  readsPatches: boolean;
  hasMasks: boolean;
}

/** Why a method has no meaning here, or undefined. */
export function whyNot(method: Method, { info, readsPatches, hasMasks }: MethodContext): string | undefined {
  if (method === 'locator') return info.kind === 'kfd' ? undefined : 'only detectors have a locator';
  if (method === 'prior')
    return hasMasks ? undefined : 'the prior is the mean of the other masks, and there are none';
  if (method === 'random') return undefined;
  const hasClassToken = !info.features.includes('no-class-token');
  const classRow = isFlowMethod(method) ? !FLOW_METHODS[method].allRows : isBaseline(method);
  if (classRow && !hasClassToken) return 'the model has no class token';
  if (method.startsWith('direct') && info.features.includes('attn-norm')) {
    return 'the model normalises inside its attention (attn.norm), so there is no exact split';
  }
  if (readsPatches && (method === 'class-row' || method === 'direct')) {
    return 'the target reads patch tokens, and this method follows the class token alone';
  }
  return undefined;
}
