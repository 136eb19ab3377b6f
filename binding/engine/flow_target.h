// Targets of a pass, checked and turned into derivatives at the blocks' outputs.
#pragma once

#include "engine/flow_forward.h"

namespace kfd::engine {

// All targets of a pass together. T targets, B images.
struct PassSeeds {
  at::Tensor y;                    // (T,B)
  std::vector<at::Tensor> exact;   // a block: dY/dx at its output (T,B,R,D), R the class rows or all N; or undefined
  std::vector<at::Tensor> frozen;  // the same with the final norms' scales held constant (I4)
  // what the direct split adds up to: value = sum over blocks of <frozen, x> + norm_bias + head_bias, all (T,B)
  at::Tensor norm_bias, head_bias, value;
};

// Throws kInvalidArgument or kModelUnsupported.
PassSeeds seed_targets(const Model& model, const FlowRecord& record, const std::vector<FlowTarget>& targets);

}  // namespace kfd::engine
