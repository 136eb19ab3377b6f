// What a GGUF file says about itself, read and checked without llama.cpp: its own readers end the process at some
// damages, and at a file that is too short only when the missing part is used.
// Format: ggml's gguf.h (header, key-value pairs, tensor descriptions, padding, tensor data; little endian).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "llm/api.h"

namespace kfd::llm {

struct GgufValue {
  uint32_t type = 0;   // gguf_type
  std::string text;    // of a string, its first 4096 bytes
  double number = 0;   // of a number or bool
  uint64_t count = 0;  // of an array, whose elements are not kept
};

struct GgufTensor {
  uint32_t type = 0;                         // ggml_type
  std::array<int64_t, 4> shape{1, 1, 1, 1};  // the innermost first
  uint64_t begin = 0;                        // byte of the file where its data begins
};

struct GgufFile {
  std::string path;
  std::map<std::string, GgufValue> values;
  std::map<std::string, GgufTensor> tensors;

  // The text of a string value; empty where the key is missing or no string.
  std::string text(const std::string& key) const;
};

// Throws kLanguageModel: missing, no GGUF file, damaged, or shorter than its tensors need. `what` names it in messages
// ("language model", "adapter").
GgufFile read_gguf(const Api& api, const std::string& path, const std::string& what);

}  // namespace kfd::llm
