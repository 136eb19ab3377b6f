// The classification head seen from its output: the derivative of a linear form of the logits, or of the feature that
// the head reads, with respect to the tokens that leave the last block.
#pragma once

#include <string>

#include "engine/block.h"
#include "engine/flow_seeds.h"
#include "engine/vit_ends.h"

namespace kfd::engine {

// dY/dx of a LayerNorm y = LN(x) from dY/dy (spec/daam.md I7); the leading axes may hold more targets than x does.
at::Tensor norm_reverse(const at::Tensor& derivative, const at::Tensor& x, const NormReading& norm);
// The same with mean and variance held constant (I4): P diag(gamma) dY/dy / sigma.
at::Tensor frozen_norm_reverse(const at::Tensor& derivative, const at::Tensor& x, const NormReading& norm);

// A linear form Y of the head's output for B images, taken back to the last block's output.
struct HeadForm {
  at::Tensor y;            // (B)
  at::Tensor rows;         // (B,R,D), the true derivative
  at::Tensor frozen_rows;  // (B,R,D), with the norms' scales held constant: y = <frozen_rows, x> + the two biases
  at::Tensor norm_bias, head_bias;  // (B)
};

class FlowHead {
 public:
  FlowHead(const Module& vit, const TokenStem& stem, const ModelOptions& options);

  // How many leading tokens the head reads: 1, with a distillation token 2, 0 where it pools the patches.
  int64_t class_rows() const { return pools_ ? 0 : distillation_head_ ? 2 : 1; }
  // (B,D) after norm, pooling and fc_norm; with a distillation token that of the class token. tokens (B,N,D) or, where
  // the head reads leading tokens only, at least these.
  at::Tensor feature(const at::Tensor& tokens) const;
  // The head by the weights that were read, to be compared with the module's own.
  at::Tensor logits(const at::Tensor& tokens) const;

  // Y = <weights, logits>, weights (B,C). Throws kModelUnsupported where the head is no linear layer.
  HeadForm of_logits(const at::Tensor& tokens, const at::Tensor& weights) const;
  // Y = <weights, feature>, weights (B,D)
  HeadForm of_feature(const at::Tensor& tokens, const at::Tensor& weights) const;

 private:
  // feature_weights (B,R,D): dY/d of what the heads read, a row for each head
  HeadForm of_features(const at::Tensor& tokens, const at::Tensor& feature_weights) const;
  at::Tensor features(const at::Tensor& tokens) const;  // (B,R,D)
  void require_known_norms() const;
  void require_linear_head() const;

  NormReading norm_, fc_norm_;
  std::optional<LinearReading> head_, distillation_head_;  // nothing: the head does nothing
  std::string norm_problem_, head_problem_;
  bool pools_ = false;
  int64_t prefix_tokens_;
};

}  // namespace kfd::engine
