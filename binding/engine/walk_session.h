// A streamed walk: one forward pass that stands still between blocks.
#pragma once

#include "engine/batch.h"

namespace kfd::engine {

// The request has passed validate_request.
std::shared_ptr<Walk> make_walk(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request);

}  // namespace kfd::engine
