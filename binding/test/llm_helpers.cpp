#include "llm_helpers.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <sstream>
#include <stdexcept>

namespace kfd::test {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

}  // namespace

std::string llama_folder() { return variable("KFD_LLAMA_FOLDER"); }

std::string language_model() { return variable("KFD_LANGUAGE_MODEL"); }

fs::path scratch() {
  struct Folder {
    fs::path path = fs::temp_directory_path() / ("kfd-llm-test-" + std::to_string(getpid()));
    Folder() { fs::create_directory(path); }
    ~Folder() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

llm::PrefixOptions small_options() {
  llm::PrefixOptions options;
  options.model = language_model();
  return options;
}

Loaded load(const llm::PrefixOptions& options) {
  llm::open_library({llama_folder(), "cpu", ""});
  std::promise<llm::LoadOutcome> promise;
  auto prefix = llm::Prefix::load(options, [&](llm::LoadOutcome outcome) { promise.set_value(std::move(outcome)); });
  const llm::LoadOutcome outcome = promise.get_future().get();
  if (outcome.error) throw *outcome.error;
  return {std::move(prefix), *outcome.info};
}

llm::Written write(llm::Prefix& prefix, llm::WriteRequest request) {
  std::promise<llm::WriteOutcome> promise;
  prefix.write(std::move(request), [&](llm::WriteOutcome outcome) { promise.set_value(std::move(outcome)); });
  llm::WriteOutcome outcome = promise.get_future().get();
  if (outcome.error) throw *outcome.error;
  return std::move(*outcome.written);
}

std::optional<llm::ErrorCode> refusal(const std::function<void()>& call, std::string* message) {
  try {
    call();
  } catch (const llm::Error& error) {
    if (message != nullptr) *message = error.what();
    return error.code();
  }
  return std::nullopt;
}

std::string contents(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace kfd::test
