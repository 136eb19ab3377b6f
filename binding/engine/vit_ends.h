// The two ends of a vision transformer around its blocks: image to tokens, tokens to logits.
#pragma once

#include <string>
#include <vector>

#include "engine/module_reader.h"

namespace kfd::engine {

// Patch embedding, prefix tokens (class, distillation, registers; in this order), position embedding, norm_pre.
// Scripted timm modules do it by their own `_pos_embed`; otherwise the order follows from the sizes of the tensors:
// pos_embed covers all tokens, or class and patches (registers join afterwards), or patches only.
class TokenStem {
 public:
  // Throws kModelUnsupported / kModelMismatch when pos_embed does not fit the input size. Adds to `features`.
  TokenStem(const VitReading& reading, const ModelOptions& options, std::vector<std::string>& features);

  // image (B,3,H,W) -> tokens (B,N,D)
  at::Tensor operator()(const at::Tensor& image) const;

  bool has_class_token() const { return class_token_.defined(); }
  int64_t prefix_tokens() const { return prefix_tokens_; }
  int64_t grid_height() const { return grid_height_; }
  int64_t grid_width() const { return grid_width_; }
  int64_t tokens() const { return prefix_tokens_ + grid_height_ * grid_width_; }

 private:
  at::Tensor add_prefix_and_position(const at::Tensor& patches) const;

  enum class PositionCovers { kEverything, kAllButRegisters, kPatches };

  Module module_, patch_embed_;
  std::optional<Module> norm_pre_;
  bool own_pos_embed_ = false;  // the module has `_pos_embed`
  at::Tensor class_token_, distillation_token_, register_tokens_, position_;
  PositionCovers position_covers_ = PositionCovers::kEverything;
  int64_t prefix_tokens_ = 0, grid_height_ = 0, grid_width_ = 0;
};

// How the head pools the tokens after norm: "token", "avg", or another of timm's names. timm's modules say it;
// otherwise a head with fc_norm, or without a class token, averages the patches.
std::string head_pooling(const Module& vit, bool has_class_token);

// norm, pooling, fc_norm, head. Scripted timm modules do it by their own `forward_head`.
class ClassHead {
 public:
  ClassHead(const VitReading& reading, const TokenStem& stem, std::vector<std::string>& features);

  // tokens (B,N,D) after the last block -> logits (B,C); with an Identity head the pooled feature (B,D)
  at::Tensor operator()(const at::Tensor& tokens) const;

 private:
  Module module_;
  std::optional<Module> norm_, fc_norm_, head_, distillation_head_;  // absent: they do nothing
  bool own_forward_head_ = false;
  bool average_pool_ = false;
  int64_t prefix_tokens_ = 0;
};

}  // namespace kfd::engine
