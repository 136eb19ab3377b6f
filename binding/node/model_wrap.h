// A loaded model: `info`, `run()`, `walk()`, `flow()`, `dispose()`.
#pragma once

#include <cstdint>
#include <memory>

#include "addon_data.h"
#include "convert.h"

namespace kfd::node {

class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  struct Parts {
    std::shared_ptr<SharedExecutor> executor;
    std::shared_ptr<engine::Model> model;
    int64_t bytes = 0;  // what the garbage collector should believe the model weighs
  };

  static Napi::Function define(Napi::Env env);
  static Napi::Object create(Napi::Env env, Parts parts);

  explicit ModelWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value walk(const Napi::CallbackInfo& info);
  Napi::Value flow(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  std::shared_ptr<engine::Model> model() const;

  Parts parts_;
};

}  // namespace kfd::node
