// Between JavaScript values (lib/native/types.ts) and the engine's structures (engine.h). Everything is checked here,
// before anything is queued.
#pragma once

#include <vector>

#include "../engine/engine.h"
#include "napi_setup.h"

namespace kfd::node {

// Keeps the pixels of a queued image from being collected. Must be destroyed on the JavaScript thread.
using Pin = Napi::ObjectReference;

struct PinnedRequest {
  engine::Request request;
  Pin pin;  // empty where the request holds a copied tensor
};

struct PinnedImage {
  engine::ImageInput image;
  Pin pin;
};

engine::ExecutorOptions executor_options_from(const Napi::Value& value);
engine::ModelOptions model_options_from(const Napi::Value& value);
engine::InputSpec input_spec_from(const Napi::Value& value, const std::string& name);
PinnedRequest request_from(const Napi::Value& value);
engine::FlowPass flow_pass_from(const Napi::Value& value);
engine::FlowOptions flow_options_from(const Napi::Value& value);  // undefined: the defaults
PinnedImage image_from(const Napi::Value& image, const Napi::Value& crop);

// Fresh Float32Arrays that belong to the caller.
Napi::Object to_js(Napi::Env env, const engine::NamedArrays& arrays);
Napi::Object to_js(Napi::Env env, const engine::Result& result);
Napi::Object to_js(Napi::Env env, const engine::BlockEvent& event);
Napi::Object to_js(Napi::Env env, const engine::ModelInfo& info);
Napi::Object to_js(Napi::Env env, const engine::ExecutorStats& stats);
Napi::Object to_js(Napi::Env env, const engine::RuntimeInfo& info);

}  // namespace kfd::node
