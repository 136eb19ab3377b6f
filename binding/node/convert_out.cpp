// Engine -> JavaScript.
#include <cstring>

#include "convert.h"

namespace kfd::node {

namespace {

template <class Number>
Napi::Array to_js_array(Napi::Env env, const std::vector<Number>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    array.Set(static_cast<uint32_t>(i), Napi::Number::New(env, static_cast<double>(values[i])));
  }
  return array;
}

Napi::Array to_js_array(Napi::Env env, const std::vector<std::string>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) array.Set(static_cast<uint32_t>(i), Napi::String::New(env, values[i]));
  return array;
}

Napi::Object to_js(Napi::Env env, const engine::Array& array) {
  Napi::Float32Array data = Napi::Float32Array::New(env, array.data.size());
  if (!array.data.empty()) std::memcpy(data.Data(), array.data.data(), array.data.size() * sizeof(float));
  Napi::Object object = Napi::Object::New(env);
  object.Set("shape", to_js_array(env, array.shape));
  object.Set("data", data);
  return object;
}

const char* kind_name(engine::ModelKind kind) {
  switch (kind) {
    case engine::ModelKind::kVit:
      return "vit";
    case engine::ModelKind::kKfd:
      return "kfd";
    case engine::ModelKind::kModule:
      break;
  }
  return "module";
}

void set_number(Napi::Object& object, const char* name, double value) { object.Set(name, value); }
void set_count(Napi::Object& object, const char* name, int64_t value) { object.Set(name, static_cast<double>(value)); }

}  // namespace

Napi::Object to_js(Napi::Env env, const engine::NamedArrays& arrays) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, array] : arrays) object.Set(name, to_js(env, array));
  return object;
}

Napi::Object to_js(Napi::Env env, const engine::Result& result) {
  Napi::Object timing = Napi::Object::New(env);
  set_number(timing, "queueMs", result.timing.queue_ms);
  set_number(timing, "preprocessMs", result.timing.preprocess_ms);
  set_number(timing, "forwardMs", result.timing.forward_ms);
  set_count(timing, "batch", result.timing.batch);
  Napi::Object object = Napi::Object::New(env);
  object.Set("arrays", to_js(env, result.arrays));
  object.Set("timing", timing);
  return object;
}

Napi::Object to_js(Napi::Env env, const engine::BlockEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  set_count(object, "block", event.block);
  object.Set("last", Napi::Boolean::New(env, event.last));
  object.Set("arrays", to_js(env, event.arrays));
  return object;
}

Napi::Object to_js(Napi::Env env, const engine::ModelInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", kind_name(info.kind));
  object.Set("device", info.device);
  object.Set("precision", info.precision);
  object.Set("execution", info.execution);
  set_count(object, "inputWidth", info.input_width);
  set_count(object, "inputHeight", info.input_height);
  set_count(object, "depth", info.depth);
  set_count(object, "width", info.width);
  set_count(object, "heads", info.heads);
  set_count(object, "patch", info.patch);
  set_count(object, "prefixTokens", info.prefix_tokens);
  set_count(object, "gridHeight", info.grid_height);
  set_count(object, "gridWidth", info.grid_width);
  set_count(object, "classes", info.classes);
  set_number(object, "layerNormEps", info.layer_norm_eps);
  object.Set("activation", info.activation);
  object.Set("taps", to_js_array(env, info.taps));
  set_count(object, "promptTokens", info.prompt_tokens);
  set_count(object, "promptWidth", info.prompt_width);
  object.Set("features", to_js_array(env, info.features));
  set_number(object, "verificationError", info.verification_error);
  object.Set("warnings", to_js_array(env, info.warnings));
  return object;
}

Napi::Object to_js(Napi::Env env, const engine::ExecutorStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  set_count(object, "queuedItems", stats.queued_items);
  set_count(object, "queuedBytes", stats.queued_bytes);
  set_count(object, "runningItems", stats.running_items);
  set_count(object, "completed", stats.completed);
  set_count(object, "failed", stats.failed);
  set_count(object, "cancelled", stats.cancelled);
  set_count(object, "refused", stats.refused);
  set_count(object, "batches", stats.batches);
  set_count(object, "batchedItems", stats.batched_items);
  return object;
}

Napi::Object to_js(Napi::Env env, const engine::RuntimeInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("torchVersion", info.torch_version);
  object.Set("cpuCapability", info.cpu_capability);
  object.Set("hasPrepackedLinear", Napi::Boolean::New(env, info.has_prepacked_linear));
  object.Set("cudaAvailable", Napi::Boolean::New(env, info.cuda_available));
  set_count(object, "cudaDevices", info.cuda_devices);
  return object;
}

}  // namespace kfd::node
