// One linear layer, y = x W^T + b, on the fastest kernel at hand. The seam for other precisions: a layer in bf16 or
// int8 is another way to store and apply W, everything above it stays.
#pragma once

#include <string>

#include "engine/torch_api.h"

namespace kfd::engine {

// Nonlinearity of a block's MLP.
enum class Activation { kGelu, kGeluTanh, kQuickGelu };

at::Tensor activate(const at::Tensor& x, Activation activation);

// True where torch has oneDNN's prepacked linear for this device: x86 builds with MKLDNN switched on, CPU only. The
// operators are private to torch (its inductor uses them), hence the look-up by name.
bool prepacked_linear_available(const at::Device& device);

class Linear {
 public:
  Linear() = default;
  // weight (out, in), bias (out) or undefined. `prepack` reorders a copy of the weight for products with about `rows`
  // rows; other row counts work too. The arguments may be dropped afterwards when prepacked.
  Linear(at::Tensor weight, at::Tensor bias, bool prepack, int64_t rows);

  // x (..., in) -> (..., out)
  at::Tensor operator()(const at::Tensor& x) const;
  // activation(x W^T + b), fused where the kernel can
  at::Tensor activated(const at::Tensor& x, Activation activation) const;
  // residual + x W^T + b, fused where the kernel can
  at::Tensor added_to(const at::Tensor& residual, const at::Tensor& x) const;

  // (out, in), row-major: a copy when prepacked
  at::Tensor dense_weight() const { return prepacked_ ? weight_.to_dense() : weight_; }
  const at::Tensor& bias() const { return bias_; }
  bool prepacked() const { return prepacked_; }

 private:
  at::Tensor weight_;  // dense, or oneDNN's blocked layout when prepacked_
  at::Tensor bias_;
  bool prepacked_ = false;
};

}  // namespace kfd::engine
