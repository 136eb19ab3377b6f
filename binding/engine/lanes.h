// The lanes: own threads that take tasks from one bounded queue. Knows nothing of models; torch enters only through the
// thread count that each lane sets before its first task.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/bounded_queue.h"
#include "engine/engine.h"

namespace kfd::engine {

// Why a running task should stop.
enum class Stop { kNo, kCancelled, kShutdown };

// One piece of work. Exactly one of run_group's settlement and refuse() reaches the caller.
class Task {
 public:
  virtual ~Task() = default;
  // Called on a lane, once, with every task of the group (of this task's making; this one first).
  virtual void run_group(const std::vector<std::shared_ptr<Task>>& group) = 0;
  // Settles with an error; on a lane, or on the thread that cancels or submits.
  virtual void refuse(const Error& error) = 0;
  // May `other` share a forward with this task?
  virtual bool joins(const Task& other) const {
    (void)other;
    return false;
  }
  virtual int64_t bytes() const { return 0; }

  Stop stop() const { return stop_.load(std::memory_order_relaxed); }
  std::chrono::steady_clock::time_point submitted;

 private:
  friend class Lanes;
  std::atomic<Stop> stop_{Stop::kNo};
  bool queued_ = false;   // guarded by Lanes::mutex_
  bool running_ = false;  // guarded by Lanes::mutex_
};

// Calls a caller's callback; what it throws ends here, for there is nobody on a lane to tell.
template <typename Callback, typename... Arguments>
void call_back(const Callback& callback, Arguments&&... arguments) noexcept {
  try {
    callback(std::forward<Arguments>(arguments)...);
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

class Lanes : public std::enable_shared_from_this<Lanes> {
 public:
  // Each lane holds the object, so that a shutdown from a callback leaves nothing dangling.
  static std::shared_ptr<Lanes> start(const ExecutorOptions& options);
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  // Queues the task, or refuses it on this thread (kQueueFull, kDisposed).
  void submit(const std::shared_ptr<Task>& task);
  // Queued: refused at once with kAborted. Running: stop() turns kCancelled.
  void cancel(const std::shared_ptr<Task>& task);
  // Settles everything (kDisposed) and joins. Called from a callback, it leaves that lane to end by itself.
  void shutdown();

  ExecutorStats stats() const;
  // To be called as a task settles.
  void count_outcome(bool ok, bool aborted);
  void count_batch(int64_t items);

 private:
  explicit Lanes(const ExecutorOptions& options);
  void run_lane();
  static void run_guarded(const std::vector<std::shared_ptr<Task>>& group) noexcept;
  std::vector<std::shared_ptr<Task>> next_group();
  void finish_group(const std::vector<std::shared_ptr<Task>>& group);

  const ExecutorOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  core::BoundedQueue<std::shared_ptr<Task>> queue_;
  std::vector<std::shared_ptr<Task>> running_;
  ExecutorStats stats_;
  int64_t idle_lanes_ = 0;
  bool stopping_ = false;
  std::mutex join_mutex_;  // one shutdown at a time
  std::vector<std::thread> threads_;
};

}  // namespace kfd::engine
