// Stops an executor or a prefix writer without holding up the event loop.
#pragma once

#include <memory>

#include "napi_setup.h"
#include "stop_at_exit.h"

namespace kfd::node {

// A promise that resolves when stop() has returned and the caller's reference has been dropped.
Napi::Promise stop_off_thread(Napi::Env env, std::shared_ptr<StoppedAtExit> threads);

}  // namespace kfd::node
