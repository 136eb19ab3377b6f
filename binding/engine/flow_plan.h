// What the flows of one model share: its head read for derivatives, and the blocks' weights the other way round. Made
// when the first flow asks, then read-only.
#pragma once

#include <functional>
#include <mutex>

#include "engine/flow_head.h"
#include "engine/model.h"

namespace kfd::engine {

// The layers of one block for derivatives: each takes dY/d(output) to dY/d(input) of the layer it is named after. Those
// of q, k, v have the block's own scale factors in them: LayerScale, but not the attention's 1/sqrt(d).
struct ReverseLayers {
  using Product = std::function<at::Tensor(const at::Tensor&)>;
  Product fc2, fc1, proj;
  Product q, key_value, qkv;
};

class FlowPlan {
 public:
  // Throws kModelUnsupported where the blocks are black boxes, kInvalidArgument where they are not walked.
  explicit FlowPlan(const Model& model);

  const FlowHead& head() const { return head_; }
  const BlockParts& parts(int64_t block) const { return *parts_[static_cast<size_t>(block)]; }
  // Packed, for many rows.
  const ReverseLayers& reverse(int64_t block);
  // For up to RowLinear::kMostRows rows, of 16-bit weights; where the processor has no kernel for that, reverse().
  const ReverseLayers& reverse_rows(int64_t block);
  bool has_attention_norm() const;

 private:
  FlowHead head_;
  int64_t rows_;
  std::vector<const BlockParts*> parts_;  // of the model, which outlives its plan
  std::mutex mutex_;
  std::vector<std::unique_ptr<ReverseLayers>> reverse_, reverse_rows_;
};

// The model's plan; made by the first call.
FlowPlan& flow_plan(const Model& model);

}  // namespace kfd::engine
