// The state machine of one forward pass: begin, one block a step, finish. Images in, named tensors out.
#pragma once

#include <functional>
#include <memory>

#include "engine/model.h"

namespace kfd::engine {

class Forward {
 public:
  // input (B,3,H,W) float32 on the CPU, checked by validate_request
  Forward(std::shared_ptr<const Model> model, const Hooks& hooks, const Extras& extras, const at::Tensor& input);

  bool done() const { return done_; }
  // Runs one block (the whole module where its blocks are not walked) and returns the hooks' rows of that block without
  // a block axis; after the last block also the outputs. Tensors are on the model's device, batch first.
  NamedTensors step();
  int64_t next_block() const { return next_block_; }

 private:
  NamedTensors run_whole_module();
  void add_hook_rows(int64_t block, const BlockAnswer& answer, NamedTensors& rows) const;
  NamedTensors outputs();
  bool needs_class_feature() const;

  std::shared_ptr<const Model> model_;
  Hooks hooks_;
  Extras extras_;
  at::Tensor x_;           // the image before the first step, then the residual stream
  at::Tensor directions_;  // (L,D) or undefined
  std::vector<KfdHeads::Level> levels_;
  int64_t height_, width_;
  int64_t next_block_ = 0;
  int64_t last_block_ = 0;
  bool done_ = false;
};

// Runs to the end and stacks the hooks' rows along a leading block axis. `stop` is asked between blocks; when it says
// true the pass ends with kAborted.
NamedTensors run_forward(std::shared_ptr<const Model> model, const Hooks& hooks, const Extras& extras,
                         const at::Tensor& input, const std::function<bool()>& stop);

// Copies to host memory, row-major float32.
Array to_array(const at::Tensor& tensor);

}  // namespace kfd::engine
