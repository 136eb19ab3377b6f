#include "addon_data.h"

#include <stdexcept>

namespace kfd::node {

AddonData::AddonData(Napi::Env env) : completion_(std::make_shared<Completion>(env)) {
  if (napi_add_async_cleanup_hook(env, on_environment_end, this, nullptr) != napi_ok) {
    throw std::runtime_error("napi_add_async_cleanup_hook failed");
  }
}

void AddonData::stop_threads() {
  for (const auto& weak : threads_) {
    if (const auto threads = weak.lock()) threads->stop();
  }
}

// The environment ends (worker.terminate(), the worker's or the main script's end). Node waits until the hook is
// removed, and keeps its event loop running: stop intake -> stop the threads off this one -> drain -> close.
void AddonData::on_environment_end(napi_async_cleanup_hook_handle hook, void* data) {
  static_cast<AddonData*>(data)->end(hook);
}

void AddonData::end(napi_async_cleanup_hook_handle hook) {
  completion_->stop_settling();
  ending_ = std::thread([this, hook] {
    stop_threads();
    completion_->post_task([this, hook] {
      ending_.join();
      // Removing the hook lets Node delete the environment, and with it this object.
      completion_->close([hook] { napi_remove_async_cleanup_hook(hook); });
    });
  });
}

}  // namespace kfd::node
