// What one environment (the main thread or one worker_threads worker) owns. Nothing here is static: several
// environments use the addon at once.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "completion.h"
#include "napi_setup.h"
#include "shared_executor.h"
#include "shared_prefix.h"

namespace kfd::node {

class AddonData {
 public:
  explicit AddonData(Napi::Env env);
  static AddonData& of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

  Completion& completion() const { return *completion_; }
  // Executors and prefix writers of this environment, which are stopped when it ends.
  template <class Threads, class... Arguments>
  std::shared_ptr<Threads> create(Arguments&&... arguments) {
    std::erase_if(threads_, [](const auto& threads) { return threads.expired(); });
    auto threads = std::make_shared<Threads>(std::forward<Arguments>(arguments)...);
    threads_.push_back(threads);
    return threads;
  }
  // Waits until no thread of this environment runs any more. Called from the process's 'exit' event, where
  // asynchronous work can no longer be finished.
  void stop_threads();

  Napi::FunctionReference executor_class, model_class, job_class, walk_class, flow_class;

  // Wrapped objects are made by us alone: create() lends the parts to the constructor for the length of one call, a
  // constructor called from JavaScript finds none and refuses.
  template <class Parts>
  Napi::Object construct(const Napi::FunctionReference& constructor, Parts& parts) {
    parts_ = &parts;
    const Napi::Object object = constructor.New({});
    parts_ = nullptr;
    return object;
  }
  template <class Parts>
  Parts& take_parts(const char* made_by) {
    if (parts_ == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  std::string("this class cannot be constructed directly; use ") + made_by);
    }
    return *static_cast<Parts*>(std::exchange(parts_, nullptr));
  }

 private:
  static void on_environment_end(napi_async_cleanup_hook_handle hook, void* data);
  void end(napi_async_cleanup_hook_handle hook);

  std::shared_ptr<Completion> completion_;
  std::vector<std::weak_ptr<StoppedAtExit>> threads_;
  std::thread ending_;
  void* parts_ = nullptr;
};

}  // namespace kfd::node
