#include "engine/block.h"

namespace kfd::engine {
namespace {

// Rows of W and entries of b times gamma: gamma * (W x + b).
LinearReading scaled(LinearReading linear, const at::Tensor& gamma) {
  if (gamma.defined()) {
    linear.weight = linear.weight * gamma.reshape({-1, 1});
    if (linear.bias.defined()) {
      linear.bias = linear.bias * gamma.reshape({-1});
    }
  }
  return linear;
}

at::Tensor pull_through(const at::Tensor& projection, const at::Tensor& direction, int64_t heads, int64_t head_width) {
  return at::mv(projection.t(), direction).view({heads, head_width});
}

BlockParts own_parts(const BlockReading& reading, bool prepack, int64_t rows) {
  const LinearReading proj = scaled(reading.proj, reading.scale1);
  const LinearReading fc2 = scaled(reading.fc2, reading.scale2);
  return {ClassAttention(reading, prepack, rows),
          reading.attention_norm,
          reading.norm2,
          reading.mlp_norm,
          Linear(proj.weight, proj.bias, prepack, rows),
          Linear(reading.fc1.weight, reading.fc1.bias, prepack, rows),
          Linear(fc2.weight, fc2.bias, prepack, rows),
          proj.weight,
          reading.activation.value(),
          reading.heads,
          reading.head_width};
}

class OwnBlock final : public Block {
 public:
  OwnBlock(const BlockReading& reading, bool prepack, int64_t rows) : parts_(own_parts(reading, prepack, rows)) {}

  at::Tensor forward(const at::Tensor& x, const BlockProbe& probe, BlockAnswer& answer) const override {
    const int64_t batch = x.size(0);
    const int64_t tokens = x.size(1);
    const auto values = parts_.attention.project(x);
    at::Tensor mixed =
        at::scaled_dot_product_attention(values.q, values.k, values.v, {}, 0.0, false, parts_.attention.scale());
    if (probe.any()) {
      answer = parts_.attention.answer(values, probe);
    }
    mixed = mixed.transpose(1, 2).reshape({batch, tokens, parts_.heads * parts_.head_width});
    if (parts_.attention_norm.present()) {
      mixed = layer_norm(mixed, parts_.attention_norm);
    }
    const at::Tensor middle = parts_.proj.added_to(x, mixed);
    at::Tensor hidden = parts_.fc1.activated(layer_norm(middle, parts_.norm2), parts_.activation);
    if (parts_.mlp_norm.present()) {
      hidden = layer_norm(hidden, parts_.mlp_norm);
    }
    return parts_.fc2.added_to(middle, hidden);
  }

  at::Tensor pull(const at::Tensor& direction) const override {
    return pull_through(parts_.projection_weight, direction, parts_.heads, parts_.head_width);
  }

  const BlockParts* parts() const override { return &parts_; }

 private:
  BlockParts parts_;
};

class BlackBoxBlock final : public Block {
 public:
  explicit BlackBoxBlock(const BlockReading& reading) : module_(reading.module) {
    if (reading.unknown_attention.empty()) {
      attention_.emplace(reading, /*prepack=*/false, 0);
      projection_weight_ = scaled(reading.proj, reading.scale1).weight;
      heads_ = reading.heads;
      head_width_ = reading.head_width;
    }
  }

  at::Tensor forward(const at::Tensor& x, const BlockProbe& probe, BlockAnswer& answer) const override {
    if (probe.any()) {
      require_attention();
      answer = attention_->answer(attention_->project(x), probe);
    }
    Module module = module_;  // forward is not const; a handle copy shares everything
    return module.forward({x}).toTensor();
  }

  at::Tensor pull(const at::Tensor& direction) const override {
    require_attention();
    return pull_through(projection_weight_, direction, heads_, head_width_);
  }

 private:
  void require_attention() const {
    if (!attention_) {
      throw Error(ErrorCode::kModelUnsupported, "this model's attention is not known, so its class row cannot be had",
                  "ask for class tokens and token outputs only");
    }
  }

  Module module_;
  std::optional<ClassAttention> attention_;
  at::Tensor projection_weight_;
  int64_t heads_ = 0, head_width_ = 0;
};

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const NormReading& norm) {
  return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, norm.eps);
}

ClassAttention::ClassAttention(const BlockReading& reading, bool prepack, int64_t rows)
    : norm1_(reading.norm1),
      q_norm_(reading.q_norm),
      k_norm_(reading.k_norm),
      qkv_(reading.qkv.weight, reading.qkv.bias, prepack, rows),
      heads_(reading.heads),
      head_width_(reading.head_width),
      scale_(reading.attention_scale) {}

ClassAttention::Values ClassAttention::project(const at::Tensor& x) const {
  const at::Tensor all = qkv_(layer_norm(x, norm1_)).view({x.size(0), x.size(1), 3, heads_, head_width_});
  const auto parts = all.permute({2, 0, 3, 1, 4}).unbind(0);
  return {q_norm_.present() ? layer_norm(parts[0], q_norm_) : parts[0],
          k_norm_.present() ? layer_norm(parts[1], k_norm_) : parts[1], parts[2]};
}

BlockAnswer ClassAttention::answer(const Values& values, const BlockProbe& probe) const {
  BlockAnswer answer;
  const at::Tensor query = values.q.slice(2, 0, 1) * scale_;                                   // (B,H,1,d)
  answer.attention = at::softmax(at::matmul(query, values.k.transpose(2, 3)), -1).squeeze(2);  // (B,H,N)
  if (probe.pulled_direction.defined()) {
    const at::Tensor along = at::matmul(values.v, probe.pulled_direction.unsqueeze(-1)).squeeze(-1);  // (B,H,N)
    answer.contribution = (answer.attention * along).sum(1);
  }
  return answer;
}

std::unique_ptr<Block> make_own_block(const BlockReading& reading, bool prepack, int64_t rows) {
  return std::make_unique<OwnBlock>(reading, prepack, rows);
}

std::unique_ptr<Block> make_black_box_block(const BlockReading& reading) {
  return std::make_unique<BlackBoxBlock>(reading);
}

}  // namespace kfd::engine
