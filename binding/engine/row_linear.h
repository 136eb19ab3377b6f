// A linear layer for products with a handful of rows. Such products are bound by reading the weights, so these are kept
// in half precision with one scale an output channel (LayerScale may have made a channel's weights tiny): half the
// bytes, a rounding error of 2^-12 of a channel's largest weight or less.
#pragma once

#include "engine/torch_api.h"

namespace kfd::engine {

class RowLinear {
 public:
  // Whether this processor has the kernels (x86-64 with AVX2, FMA and F16C) and the sizes suit them.
  static bool available(const at::Tensor& weight);
  // More rows than this are better served by a dense product.
  static constexpr int64_t kMostRows = 4;

  // weight (out, in), not kept
  explicit RowLinear(const at::Tensor& weight);

  // dY/d(output) (..., out) -> dY/dx (..., in)
  at::Tensor reverse(const at::Tensor& derivative) const;

 private:
  at::Tensor halves_;  // (out, in), each row divided by its scale
  at::Tensor scales_;  // (out)
};

}  // namespace kfd::engine
