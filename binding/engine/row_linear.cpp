#include "engine/row_linear.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#define KFD_ROW_KERNEL 1
#define KFD_ROW_TARGET __attribute__((target("avx2,fma")))
#endif

namespace kfd::engine {
namespace {

// Weights of narrower layers fit the caches, and their few terms average less of the rounding out.
constexpr int64_t kSmallest = 192;
constexpr int64_t kGroup = 64;    // columns that share a scale
constexpr int64_t kUnrolled = 4;  // weight rows taken at once, so that sums are stored less often

#if KFD_ROW_KERNEL
constexpr int64_t kLanes = 8;  // floats of a vector

KFD_ROW_TARGET __m256 load_integers(const int16_t* integers) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(integers))));
}

// The cache lines that the next weight rows need at this group of columns; the processor's own prefetching loses its
// place at the end of every row.
KFD_ROW_TARGET void fetch_next_rows(const int16_t* next, int64_t in) {
  constexpr int64_t kIntegersInLine = 32;
  for (int64_t row = 0; row < kUnrolled; ++row) {
    for (int64_t c = 0; c < kGroup; c += kIntegersInLine) {
      _mm_prefetch(reinterpret_cast<const char*>(next + row * in + c), _MM_HINT_T0);
    }
  }
}

// sums[0..64) += sum over four weight rows of factor * scale * integer, for one group of columns
KFD_ROW_TARGET void add_group(const int16_t* rows, int64_t in, const float* factors, const float* scales,
                              int64_t groups, float* sums) {
  const __m256 f0 = _mm256_set1_ps(factors[0] * scales[0]);
  const __m256 f1 = _mm256_set1_ps(factors[1] * scales[groups]);
  const __m256 f2 = _mm256_set1_ps(factors[2] * scales[2 * groups]);
  const __m256 f3 = _mm256_set1_ps(factors[3] * scales[3 * groups]);
  for (int64_t c = 0; c < kGroup; c += kLanes) {
    __m256 first = _mm256_fmadd_ps(f0, load_integers(rows + c), _mm256_loadu_ps(sums + c));
    const __m256 second =
        _mm256_fmadd_ps(f3, load_integers(rows + 3 * in + c), _mm256_mul_ps(f2, load_integers(rows + 2 * in + c)));
    first = _mm256_fmadd_ps(f1, load_integers(rows + in + c), first);
    _mm256_storeu_ps(sums + c, _mm256_add_ps(first, second));
  }
}

struct Weights {
  const int16_t* integers;
  const float* scales;
  int64_t out, in;
};

// sums[c] += sum_o factors[o] weight[o, c] for the columns of groups [from, to)
void add_weighted_rows(const Weights& weights, const float* factors, float* sums, int64_t from, int64_t to) {
  const int64_t groups = weights.in / kGroup;
  for (int64_t o = 0; o < weights.out; o += kUnrolled) {
    const int16_t* rows = weights.integers + o * weights.in;
    for (int64_t group = from; group < to; ++group) {
      if (o + kUnrolled < weights.out) {
        fetch_next_rows(rows + kUnrolled * weights.in + group * kGroup, weights.in);
      }
      add_group(rows + group * kGroup, weights.in, factors + o, weights.scales + o * groups + group, groups,
                sums + group * kGroup);
    }
  }
}
#endif

}  // namespace

bool RowLinear::available(const at::Tensor& weight) {
#if KFD_ROW_KERNEL
  return weight.is_cpu() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         std::min(weight.size(0), weight.size(1)) >= kSmallest && weight.size(0) % kUnrolled == 0 &&
         weight.size(1) % kGroup == 0;
#else
  (void)weight;
  return false;
#endif
}

RowLinear::RowLinear(const at::Tensor& weight) {
  constexpr double kLargest = 32767;
  const at::Tensor grouped = weight.unflatten(1, {-1, kGroup});  // (out, groups, 64)
  scales_ = (grouped.abs().amax(2) / kLargest).clamp_min(1e-36).contiguous();
  integers_ = (grouped / scales_.unsqueeze(2)).round_().to(at::kShort).flatten(1).contiguous();
}

at::Tensor RowLinear::reverse(const at::Tensor& derivative) const {
  auto shape = derivative.sizes().vec();
  shape.back() = integers_.size(1);
  const at::Tensor factors = derivative.contiguous();
  at::Tensor sums = at::zeros(shape, derivative.options());
#if KFD_ROW_KERNEL
  const Weights weights{integers_.const_data_ptr<int16_t>(), scales_.const_data_ptr<float>(), integers_.size(0),
                        integers_.size(1)};
  const int64_t rows = derivative.numel() / weights.out;
  const float* from = factors.const_data_ptr<float>();
  float* to = sums.mutable_data_ptr<float>();
  at::parallel_for(0, weights.in / kGroup, 4, [&](int64_t first, int64_t last) {
    for (int64_t row = 0; row < rows; ++row) {
      add_weighted_rows(weights, from + row * weights.out, to + row * weights.in, first, last);
    }
  });
#endif
  return sums;
}

}  // namespace kfd::engine
