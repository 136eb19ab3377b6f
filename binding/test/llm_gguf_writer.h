// Writes small GGUF files for tests: strings, floats and float32 tensors (format: ggml's gguf.h, version 3).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kfd::test {

struct GgufContent {
  struct Tensor {
    std::string name;
    std::array<uint64_t, 2> shape{};  // the innermost first
    float value = 0;                  // of all elements
  };
  std::vector<std::pair<std::string, std::string>> strings;
  std::vector<std::pair<std::string, float>> floats;
  std::vector<std::pair<std::string, uint32_t>> integers;
  std::vector<Tensor> tensors;
};

void write_gguf(const std::filesystem::path& file, const GgufContent& content);

// A LoRA of rank 2 on one square weight of SmolLM2-135M (576 x 576), with every element of B equal to `b`.
GgufContent small_adapter(float b);

}  // namespace kfd::test
