#include "engine/row_linear.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define KFD_ROW_KERNELS 1
#define KFD_ROW_TARGET __attribute__((target("avx2,fma,f16c")))
#endif

namespace kfd::engine {
namespace {

#if KFD_ROW_KERNELS
constexpr int64_t kLanes = 8;     // floats of a vector
constexpr int64_t kUnrolled = 4;  // weight rows taken at once, so that sums are stored less often

struct Sizes {
  int64_t rows, out, in;
};

KFD_ROW_TARGET __m256 load_halves(const at::Half* halves) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves)));
}

// The cache lines that the next group of weight rows needs at this column; the processor's own prefetching loses its
// place at the end of every row.
KFD_ROW_TARGET void fetch_next_rows(const at::Half* next, int64_t in, int64_t column) {
  constexpr int64_t kHalvesInLine = 32;
  if (column % kHalvesInLine == 0) {
    for (int64_t row = 0; row < kUnrolled; ++row) {
      _mm_prefetch(reinterpret_cast<const char*>(next + row * in + column), _MM_HINT_T0);
    }
  }
}

// sums[c] += sum_o factors[o] weight[o, c] for c in [from, to), multiples of kLanes; one row of factors
KFD_ROW_TARGET void add_weighted_rows(const at::Half* weight, const float* factors, float* sums, const Sizes& sizes,
                                      int64_t from, int64_t to) {
  const int64_t in = sizes.in;
  for (int64_t o = 0; o < sizes.out; o += kUnrolled) {
    const at::Half* rows = weight + o * in;
    const __m256 f0 = _mm256_set1_ps(factors[o]);
    const __m256 f1 = _mm256_set1_ps(factors[o + 1]);
    const __m256 f2 = _mm256_set1_ps(factors[o + 2]);
    const __m256 f3 = _mm256_set1_ps(factors[o + 3]);
    const bool more = o + kUnrolled < sizes.out;
    for (int64_t c = from; c < to; c += kLanes) {
      if (more) {
        fetch_next_rows(rows + kUnrolled * in, in, c);
      }
      __m256 first = _mm256_fmadd_ps(f0, load_halves(rows + c), _mm256_loadu_ps(sums + c));
      const __m256 second =
          _mm256_fmadd_ps(f3, load_halves(rows + 3 * in + c), _mm256_mul_ps(f2, load_halves(rows + 2 * in + c)));
      first = _mm256_fmadd_ps(f1, load_halves(rows + in + c), first);
      _mm256_storeu_ps(sums + c, _mm256_add_ps(first, second));
    }
  }
}
#endif

}  // namespace

bool RowLinear::available(const at::Tensor& weight) {
#if KFD_ROW_KERNELS
  return weight.is_cpu() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c") && weight.size(0) % kUnrolled == 0 && weight.size(1) % kLanes == 0;
#else
  (void)weight;
  return false;
#endif
}

RowLinear::RowLinear(const at::Tensor& weight) : scales_(weight.abs().amax(1).clamp_min(1e-30)) {
  halves_ = (weight / scales_.unsqueeze(1)).to(at::kHalf).contiguous();
}

at::Tensor RowLinear::reverse(const at::Tensor& derivative) const {
  auto shape = derivative.sizes().vec();
  shape.back() = halves_.size(1);
  const at::Tensor factors = (derivative * scales_).contiguous();
  at::Tensor sums = at::zeros(shape, derivative.options());
#if KFD_ROW_KERNELS
  const Sizes sizes{derivative.numel() / halves_.size(0), halves_.size(0), halves_.size(1)};
  const auto* weight = halves_.const_data_ptr<at::Half>();
  const float* from = factors.const_data_ptr<float>();
  float* to = sums.mutable_data_ptr<float>();
  at::parallel_for(0, sizes.in / kLanes, 32, [&](int64_t first, int64_t last) {
    for (int64_t row = 0; row < sizes.rows; ++row) {
      add_weighted_rows(weight, from + row * sizes.out, to + row * sizes.in, sizes, first * kLanes, last * kLanes);
    }
  });
#endif
  return sums;
}

}  // namespace kfd::engine
