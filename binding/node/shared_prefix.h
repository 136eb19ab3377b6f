// One llm::Prefix and everybody who needs it: its wrap and the work under way.
#pragma once

#include <functional>
#include <memory>

#include "../llm/llm.h"
#include "stop_at_exit.h"

namespace kfd::node {

class SharedPrefix final : public StoppedAtExit {
 public:
  SharedPrefix(llm::PrefixOptions options, std::function<void(llm::LoadOutcome)> callback);
  ~SharedPrefix() override;

  llm::Prefix* operator->() const { return prefix_.get(); }
  void stop() override;

 private:
  std::shared_ptr<llm::Prefix> prefix_;
};

}  // namespace kfd::node
