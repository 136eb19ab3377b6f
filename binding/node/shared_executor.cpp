#include "shared_executor.h"

#include <atomic>
#include <cstdlib>
#include <unordered_set>

namespace kfd::node {

namespace {

// Every executor of the process. A process that ends without tearing its environments down (process.reallyExit, an
// exit() of other native code) must not destroy libtorch's statics under running lanes.
class LiveExecutors {
 public:
  static LiveExecutors& instance() {
    // Never destroyed: the exit handler below and late finalizers may still use it.
    static LiveExecutors* const live = new LiveExecutors;
    return *live;
  }

  // Exit handlers run in the reverse order of their registration, mixed with the destructors of statics. libtorch and
  // oneDNN make some of theirs on first use, so ours must be registered again after the first uses.
  void stop_at_exit_before_newer_statics() {
    constexpr int kFirstUses = 8;
    if (registrations_.fetch_add(1) < kFirstUses) std::atexit([] { instance().stop_all(); });
  }

  void add(SharedExecutor* executor) {
    const std::lock_guard lock(mutex_);
    executors_.insert(executor);
  }
  void remove(SharedExecutor* executor) {
    const std::lock_guard lock(mutex_);
    executors_.erase(executor);
  }

 private:
  void stop_all() {
    const std::lock_guard lock(mutex_);
    for (SharedExecutor* executor : executors_) executor->stop();
  }

  std::mutex mutex_;
  std::unordered_set<SharedExecutor*> executors_;
  std::atomic<int64_t> registrations_{0};
};

}  // namespace

SharedExecutor::SharedExecutor(const engine::ExecutorOptions& options) : executor_(engine::Executor::create(options)) {
  LiveExecutors::instance().add(this);
  note_first_use();
}

void SharedExecutor::note_first_use() { LiveExecutors::instance().stop_at_exit_before_newer_statics(); }

SharedExecutor::~SharedExecutor() {
  LiveExecutors::instance().remove(this);
  stop();
}

void SharedExecutor::stop() {
  std::call_once(stopped_, [this] { executor_->shutdown(); });
}

}  // namespace kfd::node
