// The lanes: `new Executor(options)`, `load()`, `preprocess()`, `stats()`, `shutdown()`.
#pragma once

#include <memory>

#include "addon_data.h"

namespace kfd::node {

class ExecutorWrap : public Napi::ObjectWrap<ExecutorWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ExecutorWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value preprocess(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value shutdown(const Napi::CallbackInfo& info);

  std::shared_ptr<SharedExecutor> executor_;
};

}  // namespace kfd::node
