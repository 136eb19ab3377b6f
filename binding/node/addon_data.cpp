#include "addon_data.h"

#include <stdexcept>

namespace kfd::node {

AddonData::AddonData(Napi::Env env) : completion_(std::make_shared<Completion>(env)) {
  if (napi_add_async_cleanup_hook(env, on_environment_end, this, nullptr) != napi_ok) {
    throw std::runtime_error("napi_add_async_cleanup_hook failed");
  }
}

std::shared_ptr<SharedExecutor> AddonData::create_executor(const engine::ExecutorOptions& options) {
  std::erase_if(executors_, [](const auto& executor) { return executor.expired(); });
  auto executor = std::make_shared<SharedExecutor>(options);
  executors_.push_back(executor);
  return executor;
}

void AddonData::stop_executors() {
  for (const auto& weak : executors_) {
    if (const auto executor = weak.lock()) executor->stop();
  }
}

// The environment ends (worker.terminate(), the worker's or the main script's end). Node waits until the hook is
// removed, and keeps its event loop running: stop intake -> stop the lanes off this thread -> drain -> close.
void AddonData::on_environment_end(napi_async_cleanup_hook_handle hook, void* data) {
  static_cast<AddonData*>(data)->end(hook);
}

void AddonData::end(napi_async_cleanup_hook_handle hook) {
  completion_->stop_settling();
  ending_ = std::thread([this, hook] {
    stop_executors();
    completion_->post_task([this, hook] {
      ending_.join();
      // Removing the hook lets Node delete the environment, and with it this object.
      completion_->close([hook] { napi_remove_async_cleanup_hook(hook); });
    });
  });
}

}  // namespace kfd::node
