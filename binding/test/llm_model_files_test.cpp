// Language models and adapters that must be refused before llama.cpp sees them: it ends the process at some of them.
#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "llm/gguf_file.h"
#include "llm_gguf_writer.h"
#include "llm_helpers.h"

using namespace kfd::llm;
using namespace kfd::test;

namespace {

namespace fs = std::filesystem;

// Names, shapes and tokenizer; the tensors follow.
constexpr uint64_t kHeaderBytes = 4 << 20;

std::string model_head(uint64_t bytes) {
  std::string head(bytes, '\0');
  std::ifstream(language_model(), std::ios::binary).read(head.data(), static_cast<std::streamsize>(bytes));
  return head;
}

std::string file_of(const std::string& bytes, uint64_t length) {
  const fs::path file = scratch() / "changed.gguf";
  std::ofstream(file, std::ios::binary) << bytes;
  fs::resize_file(file, length);  // sparse
  return file.string();
}

void expect_refusal(const PrefixOptions& options, const std::string& part) {
  std::string message;
  CHECK(refusal([&] { load(options); }, &message) == ErrorCode::kLanguageModel);
  INFO(message);
  CHECK(message.find(part) != std::string::npos);
}

void expect_model_refusal(const std::string& model, const std::string& part) {
  PrefixOptions options = small_options();
  options.model = model;
  expect_refusal(options, part);
}

void expect_adapter_refusal(const GgufContent& content, const std::string& part) {
  PrefixOptions options = small_options();
  options.adapter = (scratch() / "adapter.gguf").string();
  write_gguf(options.adapter, content);
  expect_refusal(options, part);
}

template <class Number>
std::string with(std::string bytes, size_t at, Number value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return bytes;
}

}  // namespace

TEST_CASE("a language model that is missing, foreign or cut is refused") {
  const std::string head = model_head(kHeaderBytes);
  const uint64_t whole = fs::file_size(language_model());
  expect_model_refusal((scratch() / "missing.gguf").string(), "Cannot read");
  expect_model_refusal(scratch().string(), "Cannot read");
  expect_model_refusal(file_of("", 0), "only 0 bytes");
  expect_model_refusal(file_of("not a model at all, but a text of some length", 45), "begin with GGUF");
  for (const uint64_t length : {uint64_t{23}, uint64_t{24}, uint64_t{100}, uint64_t{4000}, uint64_t{1000000}}) {
    expect_model_refusal(file_of(head, length), "");
  }
  expect_model_refusal(file_of(head, whole / 2), "its tensors need");
  expect_model_refusal(file_of(head, whole - 1), std::to_string(whole - 1) + " bytes where its tensors need");
  expect_model_refusal(file_of(with(head, 4, uint32_t{99}), whole), "version 99");
  expect_model_refusal(file_of(with(head, 8, uint64_t{1} << 60), whole), "tensors");
  expect_model_refusal(file_of(with(head, 16, uint64_t{1} << 60), whole), "values");
  expect_model_refusal(file_of(with(head, 24, uint64_t{1} << 60), whole), "text");
}

TEST_CASE("an adapter is no language model, nor the other way round") {
  PrefixOptions options = small_options();
  options.model = (scratch() / "adapter.gguf").string();
  write_gguf(options.model, small_adapter(0));
  expect_refusal(options, "no token embedding");
  options = small_options();
  options.adapter = options.model;
  expect_refusal(options, "general.type adapter");
}

TEST_CASE("the header's reader survives any change of a byte") {
  open_library({llama_folder(), "cpu", ""});
  const std::string head = model_head(kHeaderBytes);
  const uint64_t whole = fs::file_size(language_model());
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::string changed = head;
    // Half of the changes in the first values, where the counts stand, the others anywhere.
    const uint64_t place = random() % (i % 2 == 0 ? 2000 : 1900000);
    changed[place] = static_cast<char>(random());
    refused += refusal([&] { read_gguf(api(), file_of(changed, whole), "language model"); }) ? 1 : 0;
  }
  CHECK(refused > 5);
}

TEST_CASE("an adapter that does not fit is refused") {
  GgufContent content = small_adapter(0);
  content.strings[0].second = "model";
  expect_adapter_refusal(content, "general.type adapter");
  content = small_adapter(0);
  content.strings[1].second = "qwen2";
  expect_adapter_refusal(content, "general.architecture llama");
  content = small_adapter(0);
  content.strings[2].second = "control_vector";
  expect_adapter_refusal(content, "adapter.type lora");
  content = small_adapter(0);
  content.floats.clear();
  expect_adapter_refusal(content, "adapter.lora.alpha");
  content.integers = {{"adapter.lora.alpha", 16}};  // llama.cpp ends the process at a value of another type
  expect_adapter_refusal(content, "adapter.lora.alpha");
  content = small_adapter(0);
  content.tensors.pop_back();
  expect_adapter_refusal(content, "both halves of blk.0.attn_q.weight");
  content = small_adapter(0);
  content.tensors[0].shape = {512, 2};
  expect_adapter_refusal(content, "512x2");
  content = small_adapter(0);
  content.tensors[1].shape = {3, 576};
  expect_adapter_refusal(content, "3x576");
  content = small_adapter(0);
  for (auto& tensor : content.tensors) tensor.name.replace(0, 6, "blk.99");
  expect_adapter_refusal(content, "weights of the language model");
  content = small_adapter(0);
  content.tensors.push_back({"blk.0.attn_norm.weight", {576, 1}, 1});
  expect_adapter_refusal(content, "only tensors *.lora_a");
  content = small_adapter(0);
  content.tensors = {{"token_embd.weight.lora_a", {2, 49152}, 0}, {"token_embd.weight.lora_b", {2, 576}, 0}};
  expect_adapter_refusal(content, "token embedding");
  content.tensors.clear();
  expect_adapter_refusal(content, "at least one LoRA pair");
}

TEST_CASE("an adapter cut short is refused") {
  PrefixOptions options = small_options();
  options.adapter = (scratch() / "adapter.gguf").string();
  write_gguf(options.adapter, small_adapter(1));
  fs::resize_file(options.adapter, fs::file_size(options.adapter) - 64);
  expect_refusal(options, "its tensors need");
}
