// A linear layer the other way round, for a handful of rows. Such products are bound by reading the weights, so these
// are kept as 16-bit integers with a scale for every 64 of an output channel's weights: half the bytes, a rounding
// error of 2^-16 of the largest weight of each group. (Half precision would err more: measured on a trained
// network, 1.7e-3 of a map's maximum.)
#pragma once

#include "engine/torch_api.h"

namespace kfd::engine {

class RowLinear {
 public:
  // Whether this processor has the kernel (x86-64 with AVX2 and FMA), and the sizes suit it and are large enough to
  // gain.
  static bool available(const at::Tensor& weight);
  // More rows than this are better served by a dense product.
  static constexpr int64_t kMostRows = 4;

  // weight (out, in), not kept
  explicit RowLinear(const at::Tensor& weight);

  // dY/d(output) (..., out) -> dY/dx (..., in)
  at::Tensor reverse(const at::Tensor& derivative) const;

 private:
  at::Tensor integers_;  // (out, in) int16
  at::Tensor scales_;    // (out, in / 64): weight = integer * scale
};

}  // namespace kfd::engine
