#include "engine/block_reverse.h"

namespace kfd::engine {
namespace {

// The first `rows` tokens of (B,N,...), dense.
at::Tensor leading(const at::Tensor& values, int64_t rows) {
  return values.size(1) == rows ? values : values.slice(1, 0, rows).contiguous();
}

// dY/dx (T,B,R,D) of a LayerNorm of `x` (B,N,D), whose statistics may not have been kept.
at::Tensor norm_reverse_of(const at::Tensor& derivative, const at::Tensor& x, const NormReading& norm,
                           const NormStatistics& kept) {
  const int64_t rows = derivative.size(2);
  const at::Tensor input = leading(x, rows).contiguous();
  NormStatistics statistics;
  if (kept.mean.defined()) {
    statistics = {leading(kept.mean, rows), leading(kept.scale, rows)};
  } else {
    std::tie(std::ignore, statistics.mean, statistics.scale) =
        at::native_layer_norm(input, {input.size(-1)}, norm.weight, norm.bias, norm.eps);
  }
  const auto reverse = [&](const at::Tensor& one) {
    return std::get<0>(at::native_layer_norm_backward(one, input, {input.size(-1)}, statistics.mean, statistics.scale,
                                                      norm.weight, norm.bias, {true, false, false}));
  };
  if (derivative.size(0) == 1) {
    return reverse(derivative[0]).unsqueeze(0);
  }
  at::Tensor all = at::empty_like(derivative);
  for (int64_t target = 0; target < derivative.size(0); ++target) {
    all[target].copy_(reverse(derivative[target]));
  }
  return all;
}

// derivative (T,B,R,4D), hidden (B,R,4D)
at::Tensor activation_reverse(const at::Tensor& derivative, const at::Tensor& hidden, Activation activation) {
  if (activation == Activation::kQuickGelu) {
    const at::Tensor gate = at::sigmoid(hidden * 1.702);
    return derivative * (gate + hidden * gate * (1 - gate) * 1.702);
  }
  at::Tensor all = at::empty_like(derivative);
  for (int64_t target = 0; target < derivative.size(0); ++target) {  // torch's kernel does not broadcast
    at::Tensor one = all[target];
    at::gelu_backward_out(one, derivative[target], hidden, activation == Activation::kGelu ? "none" : "tanh");
  }
  return all;
}

// Through a LayerNorm over the heads' width: derivative (T,B,rows,H,d), raw (B,H,N,d).
at::Tensor head_norm_reverse(const at::Tensor& derivative, const at::Tensor& raw, const NormReading& norm) {
  return norm_reverse(derivative, raw.slice(2, 0, derivative.size(2)).transpose(1, 2), norm);
}

}  // namespace

void BlockReverse::expect_more_targets(int64_t rows) {
  const at::Tensor hidden = leading(record_.hidden, rows);
  slope_ = activation_reverse(at::ones_like(hidden).unsqueeze(0), hidden, parts_.activation).squeeze(0);
}

BranchDerivative BlockReverse::to_mixed(const at::Tensor& output) const {
  const int64_t rows = output.size(2);
  const at::Tensor hidden = leading(record_.hidden, rows);
  at::Tensor activated = layers_.fc2(output);
  if (parts_.mlp_norm.present()) {
    activated = norm_reverse_of(activated, activate(hidden, parts_.activation), parts_.mlp_norm, {});
  }
  activated = slope_.defined() && slope_.size(1) == rows ? activated.mul_(slope_)
                                                         : activation_reverse(activated, hidden, parts_.activation);
  BranchDerivative branch;
  branch.middle = norm_reverse_of(layers_.fc1(activated), record_.middle, parts_.norm2, record_.norm2).add_(output);
  branch.mixed = layers_.proj(branch.middle);
  if (parts_.attention_norm.present()) {
    branch.mixed = norm_reverse_of(branch.mixed, record_.mixed, parts_.attention_norm, {});
  }
  return branch;
}

at::Tensor BlockReverse::to_input(const BranchDerivative& branch) const {
  const double scale = parts_.attention.scale();
  const bool every_token = branch.mixed.size(2) == record_.q.size(2);
  return finish(to_norm1(every_token ? reverse_attention(record_, scale, branch.mixed)
                                     : reverse_class_rows(record_, scale, branch.mixed)),
                branch.middle);
}

at::Tensor BlockReverse::to_class_input(const BranchDerivative& branch) const {
  const int64_t rows = record_.class_attention.size(2);
  return finish(to_norm1(reverse_to_class_rows(record_, parts_.attention.scale(), branch.mixed)),
                branch.middle.slice(2, 0, rows));
}

at::Tensor BlockReverse::to_class_norm(const BranchDerivative& branch) const {
  return to_norm1(reverse_to_class_rows(record_, parts_.attention.scale(), branch.mixed)).select(2, 0);
}

void BlockReverse::reverse_qk_norms(AttentionDerivative& derivative) const {
  if (parts_.attention.q_norm().present() || parts_.attention.k_norm().present()) {
    derivative.all.reset();
  }
  if (parts_.attention.q_norm().present()) {
    derivative.q = head_norm_reverse(derivative.q, record_.raw_q, parts_.attention.q_norm());
  }
  if (parts_.attention.k_norm().present()) {
    derivative.k = head_norm_reverse(derivative.k, record_.raw_k, parts_.attention.k_norm());
  }
}

// dY/d(norm1's output) for as many tokens as k has.
at::Tensor BlockReverse::to_norm1(AttentionDerivative derivative) const {
  reverse_qk_norms(derivative);
  const int64_t queries = derivative.q.size(2);
  if (queries == derivative.k.size(2)) {
    return layers_.qkv(derivative.together());
  }
  at::Tensor all = layers_.key_value(at::stack({derivative.k, derivative.v}, 3).flatten(3));
  all.slice(2, 0, queries) += layers_.q(derivative.q.flatten(3));
  return all;
}

at::Tensor BlockReverse::finish(const at::Tensor& norm1_output, const at::Tensor& middle) const {
  at::Tensor input = norm_reverse_of(norm1_output, record_.x, parts_.attention.norm1(), record_.norm1);
  input.slice(2, 0, middle.size(2)) += middle;
  return input;
}

}  // namespace kfd::engine
