// One engine::Executor and everybody who needs it: its wrap, its models and walks, and the work under way. When the
// last of them is collected no work is left, so the lanes join at once.
#pragma once

#include <memory>
#include <mutex>

#include "../engine/engine.h"
#include "stop_at_exit.h"

namespace kfd::node {

class SharedExecutor final : public StoppedAtExit {
 public:
  explicit SharedExecutor(const engine::ExecutorOptions& options);
  ~SharedExecutor() override;

  engine::Executor* operator->() const { return executor_.get(); }
  void stop() override;

 private:
  std::unique_ptr<engine::Executor> executor_;
  std::once_flag stopped_;
};

}  // namespace kfd::node
