#include "engine/vit_ends.h"

namespace kfd::engine {
namespace {

std::optional<Module> computing_child(const Module& module, const std::string& name) {
  auto found = child(module, name);
  return found && !does_nothing(*found) ? found : std::nullopt;
}

at::Tensor call(const std::optional<Module>& module, const at::Tensor& x) {
  if (!module) {
    return x;
  }
  Module callable = *module;
  return callable.forward({x}).toTensor();
}

int64_t count(const at::Tensor& tokens) { return tokens.defined() ? tokens.size(1) : 0; }

at::Tensor expanded(const at::Tensor& token, int64_t batch) { return token.expand({batch, -1, -1}); }

}  // namespace

TokenStem::TokenStem(const VitReading& reading, const ModelOptions& options, std::vector<std::string>& features)
    : module_(reading.module),
      patch_embed_(*child(reading.module, "patch_embed")),
      norm_pre_(computing_child(reading.module, "norm_pre")),
      own_pos_embed_(reading.module.find_method("_pos_embed").has_value()),
      class_token_(tensor_or_undefined(reading.module, "cls_token")),
      distillation_token_(tensor_or_undefined(reading.module, "dist_token")),
      register_tokens_(tensor_or_undefined(reading.module, "reg_token")),
      position_(tensor_or_undefined(reading.module, "pos_embed")),
      grid_height_(options.input.height / reading.patch_height),
      grid_width_(options.input.width / reading.patch_width) {
  if (!register_tokens_.defined()) {
    register_tokens_ = tensor_or_undefined(reading.module, "register_tokens");
  }
  const int64_t leading = count(class_token_) + count(distillation_token_);
  const int64_t patches = grid_height_ * grid_width_;
  prefix_tokens_ = leading + count(register_tokens_);
  if (options.prefix_tokens >= 0 && options.prefix_tokens != prefix_tokens_) {
    throw Error(ErrorCode::kModelMismatch,
                "the sidecar says vit.prefixTokens " + std::to_string(options.prefix_tokens) + ", the module has " +
                    std::to_string(prefix_tokens_),
                "correct or remove vit.prefixTokens");
  }
  const int64_t positions = count(position_);
  if (position_.defined()) {
    if (positions == patches && prefix_tokens_ > 0) {
      position_covers_ = PositionCovers::kPatches;
      features.emplace_back("pos-embed-without-class");
    } else if (positions == patches + prefix_tokens_) {
      position_covers_ = PositionCovers::kEverything;
    } else if (positions == patches + leading) {
      position_covers_ = PositionCovers::kAllButRegisters;
    } else if (!own_pos_embed_) {
      throw Error(ErrorCode::kModelMismatch,
                  "pos_embed has " + std::to_string(positions) + " entries, but an input of " +
                      std::to_string(options.input.width) + " x " + std::to_string(options.input.height) + " gives " +
                      std::to_string(patches) + " patches and " + std::to_string(prefix_tokens_) + " prefix tokens",
                  "set the model's input size, or resample pos_embed when exporting");
    }
  }
  if (count(register_tokens_) > 0) features.emplace_back("register-tokens");
  if (distillation_token_.defined()) features.emplace_back("distillation-token");
  if (!class_token_.defined()) features.emplace_back("no-class-token");
  if (norm_pre_) features.emplace_back("norm-pre");
  if (grid_height_ != grid_width_) features.emplace_back("non-square-grid");
}

at::Tensor TokenStem::operator()(const at::Tensor& image) const {
  Module patch_embed = patch_embed_;
  at::Tensor x = patch_embed.forward({image}).toTensor();
  if (own_pos_embed_) {
    x = module_.get_method("_pos_embed")({x}).toTensor();
  } else {
    if (x.dim() == 4) {  // (B,D,h,w): a patch embedding that does not flatten
      x = x.flatten(2).transpose(1, 2);
    }
    x = add_prefix_and_position(x);
  }
  return call(norm_pre_, x);
}

at::Tensor TokenStem::add_prefix_and_position(const at::Tensor& patches) const {
  const int64_t batch = patches.size(0);
  at::Tensor x = patches;
  if (position_covers_ == PositionCovers::kPatches && position_.defined()) {
    x = x + position_;
  }
  std::vector<at::Tensor> parts;
  for (const at::Tensor* token : {&class_token_, &distillation_token_}) {
    if (token->defined()) {
      parts.push_back(expanded(*token, batch));
    }
  }
  const auto leading = static_cast<int64_t>(parts.size());
  const bool registers_later = position_covers_ == PositionCovers::kAllButRegisters;
  if (register_tokens_.defined() && !registers_later) {
    parts.push_back(expanded(register_tokens_, batch));
  }
  parts.push_back(x);
  x = parts.size() > 1 ? at::cat(parts, 1) : x;
  if (position_.defined() && position_covers_ != PositionCovers::kPatches) {
    x = x + position_;
  }
  if (register_tokens_.defined() && registers_later) {
    x = at::cat({x.slice(1, 0, leading), expanded(register_tokens_, batch), x.slice(1, leading)}, 1);
  }
  return x;
}

std::string head_pooling(const Module& vit, bool has_class_token) {
  if (vit.find_method("forward_head") && vit.hasattr("global_pool") && vit.attr("global_pool").isString()) {
    return vit.attr("global_pool").toStringRef();
  }
  return computing_child(vit, "fc_norm") || !has_class_token ? "avg" : "token";
}

ClassHead::ClassHead(const VitReading& reading, const TokenStem& stem, std::vector<std::string>& features)
    : module_(reading.module),
      norm_(computing_child(reading.module, "norm")),
      fc_norm_(computing_child(reading.module, "fc_norm")),
      head_(computing_child(reading.module, "head")),
      distillation_head_(computing_child(reading.module, "head_dist")),
      own_forward_head_(reading.module.find_method("forward_head").has_value()),
      average_pool_(head_pooling(reading.module, stem.has_class_token()) != "token"),
      prefix_tokens_(stem.prefix_tokens()) {
  if (fc_norm_) features.emplace_back("fc-norm");
  if (average_pool_ && stem.has_class_token()) features.emplace_back("average-pool");
}

at::Tensor ClassHead::operator()(const at::Tensor& tokens) const {
  const at::Tensor x = call(norm_, tokens);
  if (own_forward_head_) {
    return module_.get_method("forward_head")({x}).toTensor();
  }
  if (average_pool_) {
    return call(head_, call(fc_norm_, x.slice(1, prefix_tokens_).mean(1)));
  }
  at::Tensor logits = call(head_, x.select(1, 0));
  if (!distillation_head_) {
    return logits;
  }
  // distilled DeiT at inference: mean of the two heads
  return (logits + call(distillation_head_, x.select(1, 1))) / 2;
}

}  // namespace kfd::engine
