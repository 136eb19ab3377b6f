// Waits for one call of the engine's callback interface and throws what it reports.
#pragma once

#include <future>
#include <utility>

namespace kfd::test {

// `call` gets the callback to hand on; AnyOutcome is Outcome or BlockOutcome.
template <typename AnyOutcome, typename Call>
AnyOutcome wait(const Call& call) {
  std::promise<AnyOutcome> promise;
  call([&](AnyOutcome outcome) { promise.set_value(std::move(outcome)); });
  AnyOutcome outcome = promise.get_future().get();
  if (outcome.error) {
    throw *outcome.error;
  }
  return outcome;
}

}  // namespace kfd::test
