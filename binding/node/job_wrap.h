// A submitted job: `promise` and `cancel()`.
#pragma once

#include <functional>
#include <memory>

#include "addon_data.h"
#include "convert.h"

namespace kfd::node {

class JobWrap : public Napi::ObjectWrap<JobWrap> {
 public:
  // The engine's handle while the job runs; both the wrap and what waits for the job may drop it.
  struct Link {
    std::shared_ptr<engine::Job> job;
  };
  struct Parts {
    std::shared_ptr<Link> link;
    Napi::Promise promise;
  };
  using Submit = std::function<std::shared_ptr<engine::Job>(engine::Callback)>;

  static Napi::Function define(Napi::Env env);
  // Registers the promise and the pin, then calls `submit`; a refusal becomes a rejection.
  static Napi::Object start(Napi::Env env, std::shared_ptr<SharedExecutor> executor, Pin pin, const Submit& submit);

  explicit JobWrap(const Napi::CallbackInfo& info);

 private:
  void cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<Link> link_;
};

}  // namespace kfd::node
