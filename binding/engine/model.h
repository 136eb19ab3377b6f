// A loaded model: the parts that the lanes share read-only.
#pragma once

#include <memory>
#include <mutex>

#include "engine/kfd_heads.h"
#include "engine/prompt_module.h"
#include "engine/vit_plan.h"

namespace kfd::engine {

class FlowPlan;  // flow_plan.h

class Model {
 public:
  ModelOptions options;
  ModelInfo info;
  at::Device device{at::kCPU};
  Module module;                        // runs as a whole only for kModule and plain_forward
  std::optional<VitPlan> vit;           // kVit, and kKfd's encoder
  std::optional<KfdHeads> heads;        // kKfd
  std::optional<PromptModule> prompts;  // kKfd with ModelOptions::prompts_path

  // What flows need besides; made by flow_plan().
  mutable std::mutex flow_mutex;
  mutable std::shared_ptr<FlowPlan> flow_plan;

  bool walks_blocks() const { return vit.has_value(); }
};

// Throws kInvalidArgument (or kModelUnsupported for hooks that the model cannot answer).
void validate_request(const Model& model, const Request& request);

}  // namespace kfd::engine
