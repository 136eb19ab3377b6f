// A flow on the lanes: each of its calls is one task.
#pragma once

#include "engine/batch.h"

namespace kfd::engine {

// The request has passed validate_request, and the model's blocks are walked.
std::shared_ptr<Flow> make_flow(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request,
                                FlowOptions options);

}  // namespace kfd::engine
