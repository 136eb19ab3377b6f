// One block of the reverse pass, by our own formulas on packed weights (spec/daam.md 4). T targets are further leading
// rows of every product. B images, N tokens, R <= N leading rows (where dY/dx is zero behind the R-th token), D width.
#pragma once

#include "engine/attention_reverse.h"
#include "engine/flow_plan.h"

namespace kfd::engine {

struct BranchDerivative {
  at::Tensor middle;  // (T,B,R,D) dY/dX', X' the residual stream between attention and MLP
  at::Tensor mixed;   // (T,B,R,D) dY/dT, T the input of attn.proj (of attn.norm where there is one)
};

class BlockReverse {
 public:
  BlockReverse(const BlockParts& parts, const ReverseLayers& layers, const BlockRecord& record)
      : parts_(parts), layers_(layers), record_(record) {}

  // Further targets of `rows` rows follow: what they have in common is then computed once.
  void expect_more_targets(int64_t rows);
  // From dY/d(block output) (T,B,R,D).
  BranchDerivative to_mixed(const at::Tensor& output) const;
  // On to dY/d(block input) of all tokens (T,B,N,D).
  at::Tensor to_input(const BranchDerivative& branch) const;
  // The same for the class rows alone (T,B,R',D); with R = R' as if the other tokens were constants (I6).
  at::Tensor to_class_input(const BranchDerivative& branch) const;
  // dY/dz of the class token (T,B,D), z = norm1's output, where only class rows are seeded.
  at::Tensor to_class_norm(const BranchDerivative& branch) const;

 private:
  at::Tensor to_norm1(AttentionDerivative derivative) const;
  void reverse_qk_norms(AttentionDerivative& derivative) const;
  at::Tensor finish(const at::Tensor& norm1_output, const at::Tensor& middle) const;

  const BlockParts& parts_;
  const ReverseLayers& layers_;
  const BlockRecord& record_;
  at::Tensor slope_;  // (B,R,M) derivative of the activation, where several targets need it
};

}  // namespace kfd::engine
