#include "shared_executor.h"

namespace kfd::node {

SharedExecutor::SharedExecutor(const engine::ExecutorOptions& options) : executor_(engine::Executor::create(options)) {
  remember();
  note_first_use();
}

SharedExecutor::~SharedExecutor() {
  forget();
  stop();
}

void SharedExecutor::stop() {
  std::call_once(stopped_, [this] { executor_->shutdown(); });
}

}  // namespace kfd::node
