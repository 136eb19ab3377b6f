#include "stop_at_exit.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <unordered_set>

namespace kfd::node {

namespace {

// Everything of the process. A process that ends without tearing its environments down (process.reallyExit, an exit()
// of other native code) must not destroy the libraries' statics under running threads.
class Live {
 public:
  static Live& instance() {
    // Never destroyed: the exit handler below and late finalizers may still use it.
    static Live* const live = new Live;
    return *live;
  }

  void stop_at_exit_before_newer_statics() {
    constexpr int kFirstUses = 16;
    if (registrations_.fetch_add(1) < kFirstUses) std::atexit([] { instance().stop_all(); });
  }

  void add(StoppedAtExit* item) {
    const std::lock_guard lock(mutex_);
    items_.insert(item);
  }
  void remove(StoppedAtExit* item) {
    const std::lock_guard lock(mutex_);
    items_.erase(item);
  }

 private:
  void stop_all() {
    const std::lock_guard lock(mutex_);
    for (StoppedAtExit* item : items_) item->stop();
  }

  std::mutex mutex_;
  std::unordered_set<StoppedAtExit*> items_;
  std::atomic<int64_t> registrations_{0};
};

}  // namespace

void StoppedAtExit::remember() { Live::instance().add(this); }

void StoppedAtExit::forget() { Live::instance().remove(this); }

void StoppedAtExit::note_first_use() { Live::instance().stop_at_exit_before_newer_statics(); }

}  // namespace kfd::node
