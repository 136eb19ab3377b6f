// What the tests of binding/llm share: the real libllama and language model, a scratch folder, and waiting.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llm/llm.h"

namespace kfd::test {

// KFD_LLAMA_FOLDER, the folder with node-llama-cpp's libraries; KFD_LANGUAGE_MODEL, SmolLM2-135M-Instruct's GGUF.
std::string llama_folder();
std::string language_model();

// A folder of this process, empty at first use and removed at the end.
std::filesystem::path scratch();

// Options with everything small: one sequence, one thread.
llm::PrefixOptions small_options();

// Waits for the model, or throws what loading reports. Opens the library.
struct Loaded {
  std::shared_ptr<llm::Prefix> prefix;
  llm::PrefixInfo info;
};
Loaded load(const llm::PrefixOptions& options);

// Waits for one write, or throws what it reports.
llm::Written write(llm::Prefix& prefix, llm::WriteRequest request);

// The code that `call` throws an llm::Error with, if it does; the message goes to `message`.
std::optional<llm::ErrorCode> refusal(const std::function<void()>& call, std::string* message = nullptr);

std::string contents(const std::filesystem::path& file);

}  // namespace kfd::test
