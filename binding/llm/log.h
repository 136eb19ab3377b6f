// libllama's log is one callback for the whole process, and without one it writes to stderr.
#pragma once

#include <string>

#include "llm/api.h"

namespace kfd::llm {

// Takes the log over unless node-llama-cpp has (loaded later, it does so by itself): everything is dropped but the
// warnings and errors that a CapturedLog of the same thread keeps.
void silence_unowned_log(const Api& api);

// While it lives, collects what llama.cpp says on this thread. Stays empty when node-llama-cpp owns the log.
class CapturedLog {
 public:
  CapturedLog();
  ~CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  // "<what>", and after a colon what llama.cpp said, in one line.
  std::string explain(const std::string& what) const;

 private:
  std::string text_;
};

}  // namespace kfd::llm
