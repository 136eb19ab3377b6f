#include "core/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

// One binary for every x86-64 CPU: the inner loops are compiled for several instruction sets and chosen at load.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define KFD_WIDE_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define KFD_WIDE_VECTORS
#endif

namespace kfd::core {
namespace {

// Sums of 8-bit values times weights must fit 32 bits, with two bits to spare for weights above 1 in all.
constexpr int kWeightBits = 32 - 8 - 2;
constexpr int64_t kChannels = 3;
// Rows that the horizontal pass takes together: one vector register holds the same pixel of each.
constexpr int64_t kRows = 16;

// For every output position: where its window starts and `taps` fixed-point weights (zeros behind the window's end).
struct Windows {
  int64_t taps = 0;
  std::vector<int64_t> first;
  std::vector<int32_t> weights;
};

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) {
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  }
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

Windows make_windows(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double widening = std::max(scale, 1.0);
  const double support = 2 * widening;
  Windows windows;
  windows.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  windows.first.resize(static_cast<size_t>(to));
  windows.weights.assign(static_cast<size_t>(to * windows.taps), 0);
  std::vector<double> exact(static_cast<size_t>(windows.taps));
  for (int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    const int64_t end = std::min(from, static_cast<int64_t>(centre + support + 0.5));
    double sum = 0;
    for (int64_t k = 0; k < end - first; ++k) {
      exact[static_cast<size_t>(k)] = cubic((static_cast<double>(first + k) - centre + 0.5) * (1.0 / widening));
      sum += exact[static_cast<size_t>(k)];
    }
    windows.first[static_cast<size_t>(i)] = first;
    for (int64_t k = 0; k < end - first; ++k) {
      const double weight = exact[static_cast<size_t>(k)] * (1.0 / sum) * (1 << kWeightBits);
      windows.weights[static_cast<size_t>(i * windows.taps + k)] =
          static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
  }
  return windows;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

// `columns` holds kRows bytes for every (pixel, channel) of a row, so that the inner loop runs over rows.
KFD_WIDE_VECTORS
void resize_columns(const uint8_t* columns, const Windows& windows, int64_t to, int64_t rows, uint8_t* target) {
  for (int64_t i = 0; i < to; ++i) {
    const int32_t* weights = windows.weights.data() + i * windows.taps;
    const uint8_t* window = columns + windows.first[static_cast<size_t>(i)] * kChannels * kRows;
    std::array<std::array<int32_t, kRows>, kChannels> sums;
    for (auto& channel : sums) {
      channel.fill(1 << (kWeightBits - 1));
    }
    for (int64_t k = 0; k < windows.taps; ++k) {
      for (int64_t c = 0; c < kChannels; ++c) {
        const uint8_t* pixel = window + (k * kChannels + c) * kRows;
        for (int64_t r = 0; r < kRows; ++r) {
          sums[c][r] += weights[k] * pixel[r];
        }
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < kChannels; ++c) {
        target[(r * to + i) * kChannels + c] = to_byte(sums[c][r]);
      }
    }
  }
}

// One output row from `taps` input rows of `length` bytes.
KFD_WIDE_VECTORS
void mix_rows(const uint8_t* rows, int64_t length, const int32_t* weights, int64_t taps, int32_t* sums,
              uint8_t* target) {
  std::fill_n(sums, length, 1 << (kWeightBits - 1));
  for (int64_t k = 0; k < taps; ++k) {
    const uint8_t* row = rows + k * length;
    for (int64_t x = 0; x < length; ++x) {
      sums[x] += weights[k] * row[x];
    }
  }
  for (int64_t x = 0; x < length; ++x) {
    target[x] = to_byte(sums[x]);
  }
}

std::vector<uint8_t> resized_columns(const uint8_t* source, Size image, int64_t to) {
  const Windows windows = make_windows(image.width, to);
  const int64_t length = image.width * kChannels;
  // Windows at the right edge read `taps` pixels whatever their length: the padding meets zero weights.
  std::vector<uint8_t> columns(static_cast<size_t>((image.width + windows.taps) * kChannels * kRows));
  std::vector<uint8_t> target(static_cast<size_t>(to * image.height * kChannels));
  for (int64_t y = 0; y < image.height; y += kRows) {
    const int64_t rows = std::min(kRows, image.height - y);
    for (int64_t r = 0; r < rows; ++r) {
      const uint8_t* row = source + (y + r) * length;
      for (int64_t x = 0; x < length; ++x) {
        columns[static_cast<size_t>(x * kRows + r)] = row[x];
      }
    }
    resize_columns(columns.data(), windows, to, rows, target.data() + y * to * kChannels);
  }
  return target;
}

void resize_rows(const uint8_t* source, Size image, int64_t to, uint8_t* target) {
  const Windows windows = make_windows(image.height, to);
  const int64_t length = image.width * kChannels;
  std::vector<int32_t> sums(static_cast<size_t>(length));
  for (int64_t i = 0; i < to; ++i) {
    const int64_t first = windows.first[static_cast<size_t>(i)];
    const int64_t taps = std::min(windows.taps, image.height - first);
    mix_rows(source + first * length, length, windows.weights.data() + i * windows.taps, taps, sums.data(),
             target + i * length);
  }
}

}  // namespace

void resize_bicubic(const uint8_t* source, Size image, uint8_t* target, Size size) {
  std::vector<uint8_t> columns;
  if (size.width != image.width) {
    columns = resized_columns(source, image, size.width);
    source = columns.data();
  }
  if (size.height != image.height) {
    resize_rows(source, {size.width, image.height}, size.height, target);
  } else {
    std::memcpy(target, source, static_cast<size_t>(size.width * size.height * kChannels));
  }
}

}  // namespace kfd::core
