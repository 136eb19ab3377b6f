// A vision transformer ready to be walked: stem, blocks, head, checked against the module it was read from.
#pragma once

#include <memory>
#include <vector>

#include "engine/block.h"
#include "engine/vit_ends.h"

namespace kfd::engine {

// Largest |a - b| over largest |b|; infinity when the shapes differ.
double relative_error(const at::Tensor& actual, const at::Tensor& expected);

// Own code may differ from the module by rounding only; above this it is another function.
constexpr double kVerificationTolerance = 1e-4;

// A fixed random network input (1,3,H,W) for the checks at load; torch's global generator is left alone.
at::Tensor verification_image(const InputSpec& input, const at::Device& device);

class VitPlan {
 public:
  // Reads, builds and checks every block against the module's own; falls back to black-box blocks with a warning in
  // `info`. Fills the vision transformer's fields of `info`. The module's weights are in float32 on `device`.
  VitPlan(const Module& module, const ModelOptions& options, const at::Device& device, ModelInfo& info);

  const Module& module() const { return reading_.module; }
  const TokenStem& stem() const { return *stem_; }
  const ClassHead& head() const { return *head_; }
  const Block& block(int64_t index) const { return *blocks_[static_cast<size_t>(index)]; }
  int64_t depth() const { return static_cast<int64_t>(blocks_.size()); }
  bool attention_known() const { return attention_known_; }
  // False with attn.norm, which mixes the channels of the heads, and with an unknown `ls1`: then a token's share along
  // a direction of the residual stream is not defined.
  bool contribution_defined() const { return contribution_defined_; }

  // Frees the module's copies of the weights that the blocks now hold. The module cannot run as a whole afterwards.
  void drop_module_weights();

 private:
  void choose_blocks(const ModelOptions& options, const at::Device& device, ModelInfo& info);
  bool try_own_blocks(bool prepack, const std::vector<at::Tensor>& block_inputs, ModelInfo& info);
  void use_black_boxes(const std::vector<at::Tensor>& block_inputs, ModelInfo& info);

  VitReading reading_;
  std::optional<TokenStem> stem_;
  std::optional<ClassHead> head_;
  std::vector<std::unique_ptr<Block>> blocks_;
  bool own_blocks_ = false;
  bool attention_known_ = true;
  bool contribution_defined_ = true;
};

}  // namespace kfd::engine
