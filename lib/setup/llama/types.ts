/** Where a node-llama-cpp comes from, in the order in which they are tried. */
export type NodeLlamaSource = 'explicit' | 'node' | 'cache' | 'npm';

/** The libraries of one build of llama.cpp. */
export interface LlamaBinaries {
  /** The folder that holds libllama and the ggml libraries. */
  folder: string;
  /** `cpu`, or the suffix in the libraries' names: `cuda`, `vulkan`. */
  variant: string;
  /** The llama.cpp release they were built from, such as `v0.5.0`. */
  release: string;
}

/** A node-llama-cpp of the right version with libraries for this machine. */
export interface NodeLlama {
  /** The package's folder. */
  folder: string;
  version: string;
  source: NodeLlamaSource;
  /** Why this one, in words. */
  why: string;
  /** File URL of the module to import. */
  entry: string;
  /** At least one; `cpu` first. */
  binaries: LlamaBinaries[];
}

export interface SkippedNodeLlama {
  source: NodeLlamaSource;
  why: string;
}
