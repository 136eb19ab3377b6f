// Where a target's derivative enters the reverse pass: dY/dx at the outputs of some blocks.
#pragma once

#include <vector>

#include "engine/kfd_heads.h"

namespace kfd::engine {

// dY/dx_b at the output of block `block` (0-based), for the first R tokens of each image: (B,R,D) float32, 1 <= R <= N;
// the other tokens' derivative is zero. R = 1 is the class token alone.
struct BlockSeed {
  int64_t block = 0;
  at::Tensor rows;
};

struct TargetSeeds {
  at::Tensor y;                  // (B), as Flow::begin gives it
  std::vector<BlockSeed> seeds;  // the true derivatives; several may name the same block
  // dY/d(output of the encoder's head) (B,C), where Y reads that too; the engine takes it back through head, pooling
  // and norm itself. Undefined: not read.
  at::Tensor head_output;
};

// Written in flow_forgery.cpp. `tap_tokens[i]` (B,N,D) is the residual stream after block heads.taps()[i]; the image is
// height x width pixels. Called inside InferenceMode.

// FlowTarget::kForgery: Y = p[:,1].
TargetSeeds forgery_seeds(const KfdHeads& heads, const std::vector<at::Tensor>& tap_tokens, int64_t prefix_tokens,
                          int64_t grid_height, int64_t grid_width, int64_t height, int64_t width);

// FlowTarget::kClassTokenForgery. `head_output` (B,C) is the encoder's output g before any normalising: read where C is
// the width of the class embeddings (then `TargetSeeds::head_output` is set), else the last tap's class token (then a
// seed with R = 1 is).
TargetSeeds class_token_forgery_seeds(const KfdHeads& heads, const std::vector<at::Tensor>& tap_tokens,
                                      const at::Tensor& head_output);

}  // namespace kfd::engine
