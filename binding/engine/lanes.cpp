#include "engine/lanes.h"

#include <algorithm>

#include "engine/errors.h"
#include "engine/torch_api.h"

namespace kfd::engine {
namespace {

Error shutdown_error() { return Error(ErrorCode::kDisposed, "the executor has been shut down"); }
Error cancelled_error() { return Error(ErrorCode::kAborted, "the job was cancelled before it started"); }

}  // namespace

Lanes::Lanes(const ExecutorOptions& options)
    : options_(options), queue_(options.max_queue_items, options.max_queue_bytes) {
  if (options.lanes < 1 || options.lanes > 1024 || options.threads_per_lane < 1 || options.threads_per_lane > 1024 ||
      options.max_batch < 1 || options.max_queue_items < 1 || options.max_queue_bytes < 1) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "lanes and threads per lane must lie between 1 and 1024; maxBatch and the queue bounds must be positive");
  }
}

std::shared_ptr<Lanes> Lanes::start(const ExecutorOptions& options) {
  std::shared_ptr<Lanes> lanes(new Lanes(options));
  try {
    for (int64_t i = 0; i < options.lanes; ++i) {
      lanes->threads_.emplace_back([lanes] { lanes->run_lane(); });
    }
  } catch (...) {
    lanes->shutdown();
    throw current_error("starting the lanes");
  }
  return lanes;
}

Lanes::~Lanes() { shutdown(); }

void Lanes::submit(const std::shared_ptr<Task>& task) {
  task->submitted = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  if (stopping_) {
    ++stats_.refused;
    lock.unlock();
    task->refuse(shutdown_error());
    return;
  }
  const int64_t bytes = task->bytes();
  if (!queue_.try_push(task, bytes)) {
    ++stats_.refused;
    const std::string message = "the queue is full: " + std::to_string(queue_.items()) + " of " +
                                std::to_string(options_.max_queue_items) + " items, " + std::to_string(queue_.bytes()) +
                                " of " + std::to_string(options_.max_queue_bytes) + " bytes, and " +
                                std::to_string(bytes) + " more";
    lock.unlock();
    task->refuse(Error(ErrorCode::kQueueFull, message, "wait for running jobs, or raise the queue's bounds"));
    return;
  }
  task->queued_ = true;
  lock.unlock();
  wake_.notify_one();
}

void Lanes::cancel(const std::shared_ptr<Task>& task) {
  std::unique_lock lock(mutex_);
  if (!task->queued_) {
    if (task->running_ && task->stop() == Stop::kNo) {
      task->stop_ = Stop::kCancelled;
    }
    return;
  }
  queue_.take_if([&](const auto& other) { return other == task; }, 1);
  task->queued_ = false;
  ++stats_.cancelled;
  lock.unlock();
  task->refuse(cancelled_error());
}

void Lanes::shutdown() {
  std::vector<std::shared_ptr<Task>> queued;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    queued = queue_.take_if([](const auto&) { return true; }, queue_.items());
    for (const auto& task : queued) {
      task->queued_ = false;
    }
    for (const auto& task : running_) {
      task->stop_ = Stop::kShutdown;
    }
    stats_.cancelled += static_cast<int64_t>(queued.size());
  }
  wake_.notify_all();
  for (const auto& task : queued) {
    task->refuse(shutdown_error());
  }
  std::unique_lock join_lock(join_mutex_);
  for (std::thread& thread : threads_) {
    if (thread.joinable() && thread.get_id() == std::this_thread::get_id()) {
      thread.detach();
    } else if (thread.joinable()) {
      thread.join();
    }
  }
}

ExecutorStats Lanes::stats() const {
  std::unique_lock lock(mutex_);
  ExecutorStats stats = stats_;
  stats.queued_items = queue_.items();
  stats.queued_bytes = queue_.bytes();
  stats.running_items = static_cast<int64_t>(running_.size());
  return stats;
}

void Lanes::count_outcome(bool ok, bool aborted) {
  std::unique_lock lock(mutex_);
  ++(ok ? stats_.completed : aborted ? stats_.cancelled : stats_.failed);
}

void Lanes::count_batch(int64_t items) {
  std::unique_lock lock(mutex_);
  ++stats_.batches;
  stats_.batched_items += items;
}

void Lanes::run_lane() {
  // Inside the thread and before any work: the size of an OpenMP team belongs to the calling thread.
  at::set_num_threads(static_cast<int>(options_.threads_per_lane));
  for (;;) {
    const auto group = next_group();
    if (group.empty()) {
      return;
    }
    run_guarded(group);
    finish_group(group);
  }
}

void Lanes::run_guarded(const std::vector<std::shared_ptr<Task>>& group) noexcept {
  // An exception that left the thread would end the process. run_group settles its own errors, so only a failure to
  // report one (no memory for the message) can arrive here.
  try {
    group.front()->run_group(group);
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

std::vector<std::shared_ptr<Task>> Lanes::next_group() {
  std::unique_lock lock(mutex_);
  ++idle_lanes_;
  wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  const int64_t sharing_lanes = idle_lanes_--;
  if (stopping_) {
    return {};
  }
  std::vector<std::shared_ptr<Task>> group{*queue_.pop()};
  // What is queued now and fits goes along, up to max_batch, but idle lanes get their share: several lanes at work beat
  // one large batch (spec/engine.md 8).
  const auto fits = [&](const auto& other) { return group.front()->joins(*other); };
  const int64_t fitting = 1 + queue_.count_if(fits);
  const int64_t share = (fitting + sharing_lanes - 1) / sharing_lanes;
  const int64_t more = std::min(options_.max_batch, share) - 1;
  if (more > 0) {
    auto others = queue_.take_if(fits, more);
    group.insert(group.end(), others.begin(), others.end());
  }
  for (const auto& task : group) {
    task->queued_ = false;
    task->running_ = true;
    running_.push_back(task);
  }
  return group;
}

void Lanes::finish_group(const std::vector<std::shared_ptr<Task>>& group) {
  std::unique_lock lock(mutex_);
  for (const auto& task : group) {
    task->running_ = false;
    running_.erase(std::find(running_.begin(), running_.end(), task));
  }
}

}  // namespace kfd::engine
