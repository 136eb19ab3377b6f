#include "llm/log.h"

#include <dlfcn.h>

#include <filesystem>

namespace kfd::llm {
namespace {

constexpr size_t kLongest = 2000;

thread_local std::string* sink = nullptr;
thread_local bool keeps_line = false;  // GGML_LOG_LEVEL_CONT goes on with the line before

void on_log(ggml_log_level level, const char* text, void*) {
  if (level != GGML_LOG_LEVEL_CONT) keeps_line = level == GGML_LOG_LEVEL_WARN || level == GGML_LOG_LEVEL_ERROR;
  if (keeps_line && sink != nullptr && sink->size() < kLongest) sink->append(text);
}

}  // namespace

void silence_unowned_log(const Api& api) {
  ggml_log_callback callback = nullptr;
  void* data = nullptr;
  api.llama_log_get(&callback, &data);
  Dl_info owner{};
  // As long as nobody has set one, it is a function of the libraries themselves.
  const bool known = callback != nullptr && dladdr(reinterpret_cast<void*>(callback), &owner) != 0;
  const std::string file = known ? std::filesystem::path(owner.dli_fname).filename().string() : "";
  if (!known || file.rfind("libggml", 0) == 0 || file.rfind("libllama", 0) == 0) api.llama_log_set(on_log, nullptr);
}

CapturedLog::CapturedLog() { sink = &text_; }

CapturedLog::~CapturedLog() { sink = nullptr; }

std::string CapturedLog::explain(const std::string& what) const {
  std::string said = text_.substr(0, kLongest);
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.pop_back();
  if (said.empty()) return what;
  for (char& letter : said) {
    if (letter == '\n') letter = ' ';
  }
  return what + ": " + said;
}

}  // namespace kfd::llm
