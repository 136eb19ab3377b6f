// Tasks that run a model: whole forwards (several images may share one), preprocessing alone, loading.
#pragma once

#include <memory>

#include "engine/lanes.h"
#include "engine/model.h"

namespace kfd::engine {

std::shared_ptr<Task> make_forward_task(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request,
                                        Callback callback);
std::shared_ptr<Task> make_preprocess_task(std::shared_ptr<Lanes> lanes, InputSpec spec, ImageInput image,
                                           Callback callback);
std::shared_ptr<Task> make_load_task(std::shared_ptr<Lanes> lanes, std::string path, ModelOptions options,
                                     std::function<void(std::shared_ptr<Model>, std::unique_ptr<Error>)> callback);

// The network input (B,3,H,W) float32 of a request, on the CPU.
at::Tensor network_input(const Request& request, const InputSpec& spec);

// Bytes that a request holds while it is queued.
int64_t request_bytes(const Request& request);

// The error of a stopped task.
Error stop_error(Stop stop);

}  // namespace kfd::engine
