// The one kind of error that leaves the engine and the language-model part.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace kfd {

// Codes map one to one to the JavaScript codes `ERR_KFD_<NAME>` (lib/errors.ts).
enum class ErrorCode {
  kInvalidArgument,  // a request is malformed
  kQueueFull,        // the bounded queue is full (items or bytes)
  kAborted,          // cancelled by the caller
  kDisposed,         // the executor, model or prefix writer is gone
  kOutOfMemory,
  kInternal,  // anything else that torch throws or llama.cpp refuses
  // The engine's.
  kModelLoad,         // the file is not a TorchScript archive, or torch refuses it
  kModelUnsupported,  // it loads, but is frozen, or its shape or children are unknown
  kModelMismatch,     // options contradict the module (heads that do not divide the width, wrong taps ...)
  kDevice,            // no such device, or the device failed
  // The language-model part's.
  kLlamaMissing,   // no libllama there, or the addon was built without this part
  kLlamaMismatch,  // libllama is of another release than the headers that this part was compiled with
  kLanguageModel,  // the GGUF file or its adapter is missing, damaged, foreign or does not fit
  kFileWrite,      // the state file cannot be written
};

// `what()` says what was expected and what came; `hint()` says what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string hint = {})
      : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}
  ErrorCode code() const noexcept { return code_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorCode code_;
  std::string hint_;
};

}  // namespace kfd
