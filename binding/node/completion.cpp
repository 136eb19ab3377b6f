#include "completion.h"

#include <stdexcept>

namespace kfd::node {

namespace {

uv_handle_s* as_handle(uv_async_s* handle) { return reinterpret_cast<uv_handle_s*>(handle); }

}  // namespace

void Ticket::deliver(Delivery delivery) const { completion_->post(id_, std::move(delivery)); }

Completion::Completion(Napi::Env env) : env_(env) {
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw std::runtime_error("this runtime has no libuv event loop");
  context_ = std::make_unique<Napi::AsyncContext>(env, "kfd-native");
  handle_memory_ = std::make_unique<char[]>(uv_handle_size(kUvAsyncType));
  handle_ = reinterpret_cast<uv_async_s*>(handle_memory_.get());
  const auto on_wake = [](uv_async_s* handle) {
    static_cast<Completion*>(uv_handle_get_data(as_handle(handle)))->drain();
  };
  if (uv_async_init(loop, handle_, on_wake) != 0) throw std::runtime_error("uv_async_init failed");
  uv_handle_set_data(as_handle(handle_), this);
  uv_unref(as_handle(handle_));  // idle: does not keep the process alive
}

Ticket Completion::expect(std::unique_ptr<Pending> pending) {
  const uint64_t id = next_id_++;
  if (pending_.empty()) uv_ref(as_handle(handle_));
  pending_.emplace(id, std::move(pending));
  return Ticket(shared_from_this(), id);
}

void Completion::post(uint64_t id, Delivery delivery) {
  const std::lock_guard lock(mutex_);
  if (!handle_open_) return;
  posted_.push_back({id, std::move(delivery)});
  uv_async_send(handle_);
}

void Completion::post_task(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (!handle_open_) return;
  tasks_.push_back(std::move(task));
  uv_async_send(handle_);
}

void Completion::drain() {
  const auto keep_alive = shared_from_this();  // a task may release the last owner
  std::vector<Posted> posted;
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
    tasks.swap(tasks_);
  }
  for (Posted& item : posted) settle(std::move(item));
  for (const auto& task : tasks) task();
}

void Completion::settle(Posted posted) {
  const auto entry = pending_.find(posted.id);
  if (entry == pending_.end()) return;
  const std::unique_ptr<Pending> pending = std::move(entry->second);
  pending_.erase(entry);
  if (pending_.empty() && !closing_) uv_unref(as_handle(handle_));
  if (closing_) return;
  try {
    const Napi::HandleScope handles(env_);
    // Leaving the callback scope runs the microtasks, so `await` continues now and not at the next unrelated event.
    const Napi::CallbackScope callback(env_, *context_);
    pending->settle(Napi::Env(env_), std::move(posted.delivery));
  } catch (...) {
    // Only a terminating environment refuses to settle a promise: then nobody is left to be told.
  }
}

void Completion::stop_settling() {
  closing_ = true;
  uv_ref(as_handle(handle_));
}

void Completion::close(std::function<void()> closed) {
  {
    const std::lock_guard lock(mutex_);
    handle_open_ = false;
    posted_.clear();
    tasks_.clear();
  }
  closing_ = true;
  pending_.clear();
  context_.reset();
  closed_ = std::move(closed);
  uv_close(as_handle(handle_), [](uv_handle_s* handle) {
    auto* self = static_cast<Completion*>(uv_handle_get_data(handle));
    const auto keep_alive = self->shared_from_this();
    self->closed_();
  });
}

}  // namespace kfd::node
