// A loaded model: the parts that the lanes share read-only.
#pragma once

#include <memory>

#include "engine/kfd_heads.h"
#include "engine/vit_plan.h"

namespace kfd::engine {

class Model {
 public:
  ModelOptions options;
  ModelInfo info;
  at::Device device{at::kCPU};
  Module module;                  // runs as a whole only for kModule and plain_forward
  std::optional<VitPlan> vit;     // kVit, and kKfd's encoder
  std::optional<KfdHeads> heads;  // kKfd

  bool walks_blocks() const { return vit.has_value(); }
};

// Throws kInvalidArgument (or kModelUnsupported for hooks that the model cannot answer).
void validate_request(const Model& model, const Request& request);

}  // namespace kfd::engine
