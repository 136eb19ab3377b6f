#include "shared_prefix.h"

namespace kfd::node {

SharedPrefix::SharedPrefix(llm::PrefixOptions options, std::function<void(llm::LoadOutcome)> callback)
    : prefix_(llm::Prefix::load(std::move(options), std::move(callback))) {
  remember();
  note_first_use();
}

SharedPrefix::~SharedPrefix() {
  forget();
  stop();
}

void SharedPrefix::stop() { prefix_->close(); }

}  // namespace kfd::node
