// One engine::Executor and everybody who needs it: its wrap, its models and walks, and the work under way. When the
// last of them is collected no work is left, so the lanes join at once.
#pragma once

#include <memory>
#include <mutex>

#include "../engine/engine.h"

namespace kfd::node {

class SharedExecutor {
 public:
  explicit SharedExecutor(const engine::ExecutorOptions& options);
  ~SharedExecutor();
  SharedExecutor(const SharedExecutor&) = delete;
  SharedExecutor& operator=(const SharedExecutor&) = delete;

  engine::Executor* operator->() const { return executor_.get(); }
  // Any thread; waits for the blocks that the lanes are in (a second caller waits for the first).
  void stop();
  // Called when a load or a run has ended: keeps the process's exit handler ahead of what libtorch made meanwhile.
  static void note_first_use();

 private:
  std::unique_ptr<engine::Executor> executor_;
  std::once_flag stopped_;
};

}  // namespace kfd::node
