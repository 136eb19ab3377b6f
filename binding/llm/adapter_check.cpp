#include "llm/adapter_check.h"

#include <gguf.h>

#include <cmath>
#include <optional>

#include "llm/llm.h"

namespace kfd::llm {
namespace {

struct Pair {
  std::optional<GgufTensor> a, b;
};

[[noreturn]] void refuse(const GgufFile& adapter, const std::string& expected, const std::string& found) {
  throw Error(ErrorCode::kLanguageModel, "Expected " + expected + " but the adapter " + adapter.path + " has " + found,
              "Use the adapter that was trained for this language model.");
}

std::string shown(const GgufTensor& tensor) {
  return std::to_string(tensor.shape[0]) + "x" + std::to_string(tensor.shape[1]);
}

void expect_text(const GgufFile& adapter, const std::string& key, const std::string& expected) {
  const std::string found = adapter.text(key);
  if (found != expected) refuse(adapter, key + " " + expected, found.empty() ? "none" : found);
}

std::map<std::string, Pair> pairs_of(const GgufFile& adapter) {
  std::map<std::string, Pair> pairs;
  constexpr size_t kSuffix = 7;  // of ".lora_a"
  for (const auto& [name, tensor] : adapter.tensors) {
    const std::string base = name.substr(0, name.size() - std::min(kSuffix, name.size()));
    if (name == base + ".lora_a") {
      pairs[base].a = tensor;
    } else if (name == base + ".lora_b") {
      pairs[base].b = tensor;
    } else {
      refuse(adapter, "only tensors *.lora_a and *.lora_b", name);
    }
    const bool is_float = tensor.type == GGML_TYPE_F32 || tensor.type == GGML_TYPE_F16 || tensor.type == GGML_TYPE_BF16;
    if (!is_float) refuse(adapter, "floating-point tensors", name + " of type " + std::to_string(tensor.type));
  }
  if (pairs.empty()) refuse(adapter, "at least one LoRA pair", "none");
  return pairs;
}

void check_pair(const GgufFile& model, const GgufFile& adapter, const std::string& name, const Pair& pair) {
  if (!pair.a || !pair.b) refuse(adapter, "both halves of " + name, "one");
  const auto weight = model.tensors.find(name);
  if (weight == model.tensors.end()) refuse(adapter, "weights of the language model", name);
  if (name == "token_embd.weight") refuse(adapter, "no pair for the token embedding", name);
  const GgufTensor &a = *pair.a, &b = *pair.b, &w = weight->second;
  const bool flat = a.shape[2] * a.shape[3] * b.shape[2] * b.shape[3] * w.shape[2] * w.shape[3] == 1;
  if (!flat || a.shape[0] != w.shape[0] || b.shape[1] != w.shape[1] || a.shape[1] != b.shape[0]) {
    refuse(adapter, "a pair for " + name + " (" + shown(w) + ")", shown(a) + " and " + shown(b));
  }
}

}  // namespace

void check_adapter(const GgufFile& model, const GgufFile& adapter) {
  expect_text(adapter, "general.type", "adapter");
  expect_text(adapter, "adapter.type", "lora");
  expect_text(adapter, "general.architecture", model.text("general.architecture"));
  if (adapter.values.contains("adapter.alora.invocation_tokens")) {
    refuse(adapter, "an adapter that is always on", "invocation tokens (aLoRA)");
  }
  const auto alpha = adapter.values.find("adapter.lora.alpha");
  const bool has_alpha = alpha != adapter.values.end() && alpha->second.type == GGUF_TYPE_FLOAT32;
  if (!has_alpha || !std::isfinite(alpha->second.number) || alpha->second.number == 0) {
    refuse(adapter, "adapter.lora.alpha, a 32-bit float other than 0", "none such");
  }
  for (const auto& [name, pair] : pairs_of(adapter)) check_pair(model, adapter, name, pair);
}

}  // namespace kfd::llm
