#include "engine/flow_head.h"

namespace kfd::engine {
namespace {

struct Normalised {
  at::Tensor mean, scale;  // (...,1); scale is 1/sigma
};

Normalised statistics(const at::Tensor& x, double eps) {
  const at::Tensor mean = x.mean(-1, /*keepdim=*/true);
  return {mean, ((x - mean).square().mean(-1, true) + eps).rsqrt()};
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

std::optional<LinearReading> read_head(const Module& vit, const std::string& name, std::vector<std::string>& unknown) {
  const auto found = child(vit, name);
  if (!found || does_nothing(*found)) {
    return std::nullopt;
  }
  return read_linear(vit, "", name, unknown);
}

at::Tensor applied(const at::Tensor& x, const NormReading& norm) { return norm.present() ? layer_norm(x, norm) : x; }

at::Tensor sum_of_products(const at::Tensor& a, const at::Tensor& b) { return (a * b).flatten(1).sum(1); }

}  // namespace

at::Tensor norm_reverse(const at::Tensor& derivative, const at::Tensor& x, const NormReading& norm) {
  const auto [mean, scale] = statistics(x, norm.eps);
  const at::Tensor scaled = derivative * norm.weight;
  const at::Tensor normalised = (x - mean) * scale;
  return (scaled - scaled.mean(-1, true) - normalised * (scaled * normalised).mean(-1, true)) * scale;
}

at::Tensor frozen_norm_reverse(const at::Tensor& derivative, const at::Tensor& x, const NormReading& norm) {
  const at::Tensor scaled = derivative * norm.weight;
  return (scaled - scaled.mean(-1, true)) * statistics(x, norm.eps).scale;
}

FlowHead::FlowHead(const Module& vit, const TokenStem& stem, const ModelOptions& options)
    : prefix_tokens_(stem.prefix_tokens()) {
  std::vector<std::string> unknown_norms, unknown_head;
  norm_ = read_norm_child(vit, "", "norm", options, unknown_norms);
  fc_norm_ = read_norm_child(vit, "", "fc_norm", options, unknown_norms);
  const std::string pooling = head_pooling(vit, stem.has_class_token());
  pools_ = pooling != "token";
  if (pools_ && pooling != "avg") {
    unknown_norms.push_back("pooling \"" + pooling + "\"");
  }
  head_ = read_head(vit, "head", unknown_head);
  if (!pools_) {
    distillation_head_ = read_head(vit, "head_dist", unknown_head);
  }
  norm_problem_ = joined(unknown_norms);
  head_problem_ = joined(unknown_head);
}

void FlowHead::require_known_norms() const {
  if (!norm_problem_.empty()) {
    throw Error(ErrorCode::kModelUnsupported,
                "the derivative of what follows the last block is not known: " + norm_problem_,
                "flows need LayerNorm as `norm` and `fc_norm`, and token or average pooling");
  }
}

void FlowHead::require_linear_head() const {
  require_known_norms();
  if (!head_problem_.empty()) {
    throw Error(ErrorCode::kModelUnsupported, "the head is no linear layer: " + head_problem_,
                "give the target as weights of the feature that the head reads");
  }
}

at::Tensor FlowHead::features(const at::Tensor& tokens) const {
  require_known_norms();
  const at::Tensor read = pools_ ? applied(tokens.slice(1, prefix_tokens_), norm_).mean(1, /*keepdim=*/true)
                                 : applied(tokens.slice(1, 0, class_rows()), norm_);
  return applied(read, fc_norm_);
}

at::Tensor FlowHead::feature(const at::Tensor& tokens) const { return features(tokens).select(1, 0); }

at::Tensor FlowHead::logits(const at::Tensor& tokens) const {
  require_linear_head();
  const at::Tensor read = features(tokens);
  const auto through = [](const std::optional<LinearReading>& head, const at::Tensor& x) {
    return head ? Linear(head->weight, head->bias, false, 0)(x) : x;
  };
  const at::Tensor logits = through(head_, read.select(1, 0));
  return distillation_head_ ? (logits + through(distillation_head_, read.select(1, 1))) / 2 : logits;
}

HeadForm FlowHead::of_logits(const at::Tensor& tokens, const at::Tensor& weights) const {
  require_linear_head();
  const auto back = [](const std::optional<LinearReading>& head, const at::Tensor& w) {
    return head ? at::matmul(w, head->weight) : w;
  };
  const auto bias = [](const std::optional<LinearReading>& head, const at::Tensor& w) {
    return head && head->bias.defined() ? at::matmul(w, head->bias) : at::zeros({w.size(0)}, w.options());
  };
  HeadForm form;
  at::Tensor head_bias;
  if (distillation_head_) {  // the mean of two heads, each on its own row
    const at::Tensor half = weights / 2;
    form = of_features(tokens, at::stack({back(head_, half), back(distillation_head_, half)}, 1));
    head_bias = bias(head_, half) + bias(distillation_head_, half);
  } else {
    form = of_features(tokens, back(head_, weights).unsqueeze(1));
    head_bias = bias(head_, weights);
  }
  form.head_bias = head_bias;
  form.y = form.y + head_bias;
  return form;
}

HeadForm FlowHead::of_feature(const at::Tensor& tokens, const at::Tensor& weights) const {
  at::Tensor rows = weights.unsqueeze(1);
  if (distillation_head_) {
    rows = at::cat({rows, at::zeros_like(rows)}, 1);
  }
  HeadForm form = of_features(tokens, rows);
  form.head_bias = at::zeros_like(form.norm_bias);
  return form;
}

HeadForm FlowHead::of_features(const at::Tensor& tokens, const at::Tensor& feature_weights) const {
  require_known_norms();
  HeadForm form;
  form.y = sum_of_products(feature_weights, features(tokens));
  form.norm_bias = at::zeros_like(form.y);
  at::Tensor exact = feature_weights;
  at::Tensor frozen = feature_weights;
  const auto add_bias = [&form](const at::Tensor& derivative, const NormReading& norm) {
    if (norm.bias.defined()) {
      form.norm_bias = form.norm_bias + (derivative * norm.bias).flatten(1).sum(1);
    }
  };
  const at::Tensor read = pools_ ? tokens.slice(1, prefix_tokens_) : tokens.slice(1, 0, class_rows());
  if (fc_norm_.present()) {
    const at::Tensor before = pools_ ? applied(read, norm_).mean(1, true) : applied(read, norm_);
    add_bias(frozen, fc_norm_);
    exact = norm_reverse(exact, before, fc_norm_);
    frozen = frozen_norm_reverse(frozen, before, fc_norm_);
  }
  if (pools_) {
    exact = (exact / read.size(1)).expand_as(read);
    frozen = (frozen / read.size(1)).expand_as(read);
  }
  if (norm_.present()) {
    add_bias(frozen, norm_);
    exact = norm_reverse(exact, read, norm_);
    frozen = frozen_norm_reverse(frozen, read, norm_);
  }
  if (pools_) {
    const at::Tensor none = at::zeros({read.size(0), prefix_tokens_, read.size(2)}, read.options());
    exact = at::cat({none, exact}, 1);
    frozen = at::cat({none, frozen}, 1);
  }
  form.rows = exact;
  form.frozen_rows = frozen;
  return form;
}

}  // namespace kfd::engine
