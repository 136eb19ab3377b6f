#include "llm_gguf_writer.h"

#include <fstream>

namespace kfd::test {
namespace {

constexpr uint32_t kUint32 = 4, kFloat32 = 6, kString = 8;  // gguf_type
constexpr uint64_t kAlignment = 32;

class Writer {
 public:
  explicit Writer(const std::filesystem::path& file) : stream_(file, std::ios::binary) {}
  template <class Number>
  void number(Number value) {
    stream_.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number<uint64_t>(value.size());
    stream_.write(value.data(), static_cast<std::streamsize>(value.size()));
  }
  void pad() {
    while (static_cast<uint64_t>(stream_.tellp()) % kAlignment != 0) number<uint8_t>(0);
  }

 private:
  std::ofstream stream_;
};

uint64_t elements(const GgufContent::Tensor& tensor) { return tensor.shape[0] * tensor.shape[1]; }

}  // namespace

void write_gguf(const std::filesystem::path& file, const GgufContent& content) {
  Writer out(file);
  out.number(uint32_t{0x46554747});  // "GGUF"
  out.number(uint32_t{3});
  out.number<uint64_t>(content.tensors.size());
  out.number<uint64_t>(content.strings.size() + content.floats.size() + content.integers.size());
  for (const auto& [key, value] : content.strings) {
    out.text(key);
    out.number(kString);
    out.text(value);
  }
  for (const auto& [key, value] : content.floats) {
    out.text(key);
    out.number(kFloat32);
    out.number(value);
  }
  for (const auto& [key, value] : content.integers) {
    out.text(key);
    out.number(kUint32);
    out.number(value);
  }
  uint64_t offset = 0;
  for (const GgufContent::Tensor& tensor : content.tensors) {
    out.text(tensor.name);
    out.number(uint32_t{2});
    out.number(tensor.shape[0]);
    out.number(tensor.shape[1]);
    out.number(uint32_t{0});  // GGML_TYPE_F32
    out.number(offset);
    offset += (elements(tensor) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  }
  for (const GgufContent::Tensor& tensor : content.tensors) {
    out.pad();
    for (uint64_t i = 0; i < elements(tensor); ++i) out.number(tensor.value);
  }
  out.pad();
}

GgufContent small_adapter(float b) {
  GgufContent content;
  content.strings = {{"general.type", "adapter"}, {"general.architecture", "llama"}, {"adapter.type", "lora"}};
  content.floats = {{"adapter.lora.alpha", 2.0F}};
  content.tensors = {{"blk.0.attn_q.weight.lora_a", {576, 2}, 0.01F}, {"blk.0.attn_q.weight.lora_b", {2, 576}, b}};
  return content;
}

}  // namespace kfd::test
