// The forward pass of a flow: the model's outputs, and a record of every block for the passes that follow.
#pragma once

#include <functional>

#include "engine/block_record.h"
#include "engine/flow_plan.h"

namespace kfd::engine {

struct FlowRecord {
  std::vector<BlockRecord> blocks;
  int64_t class_rows = 0;  // leading tokens that stand for the class: 1, with a distillation token 2, without any 0
  bool full = false;       // FlowOptions::full
  at::Tensor tokens;       // (B,N,D) after the last block; where the head reads class rows only, perhaps these alone
  std::vector<at::Tensor> tap_tokens;  // kKfd: (B,N,D) after each tap
  at::Tensor head_output;              // (B,C) what the (encoder's) head gives; undefined where not needed yet
  NamedTensors outputs;                // `logits`, or `p` and `map`, with prompts `P` and `V`; `feature`
  int64_t image_height = 0, image_width = 0;
};

// input (B,3,H,W) on the CPU. `prompts`: Request::prompts. `stop` is asked between blocks; when it says true the pass
// ends with kAborted.
FlowRecord run_flow_forward(const Model& model, bool full, bool prompts, const at::Tensor& input,
                            const std::function<bool()>& stop);

}  // namespace kfd::engine
