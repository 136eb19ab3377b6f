// Soft prompts: `openLlama(options)` and `new LlamaPrefix(options)` with `ready`, `tokenize()`, `write()`, `close()`.
#pragma once

#include <memory>

#include "addon_data.h"

namespace kfd::node {

Napi::Value open_llama(const Napi::CallbackInfo& info);

class LlmWrap : public Napi::ObjectWrap<LlmWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LlmWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value tokenize(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // Throws where loading was refused at once; `ready` says why.
  SharedPrefix& prefix() const;

  std::shared_ptr<SharedPrefix> prefix_;
};

}  // namespace kfd::node
