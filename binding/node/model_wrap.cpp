#include "model_wrap.h"

#include "errors.h"
#include "flow_wrap.h"
#include "job_wrap.h"
#include "walk_wrap.h"

namespace kfd::node {

namespace {

constexpr napi_type_tag kTag{0x4b46444d6f64656c, 0x35f8d2ab10c74e03};

}  // namespace

Napi::Function ModelWrap::define(Napi::Env env) {
  return DefineClass(env, "Model",
                     {InstanceMethod<&ModelWrap::run>("run", napi_enumerable),
                      InstanceMethod<&ModelWrap::walk>("walk", napi_enumerable),
                      InstanceMethod<&ModelWrap::flow>("flow", napi_enumerable),
                      InstanceMethod<&ModelWrap::dispose>("dispose", napi_enumerable)});
}

Napi::Object ModelWrap::create(Napi::Env env, Parts parts) {
  AddonData& data = AddonData::of(env);
  return data.construct(data.model_class, parts);
}

ModelWrap::ModelWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelWrap>(info) {
  const Napi::Env env = info.Env();
  guarded(env, [&] {
    parts_ = std::move(AddonData::of(env).take_parts<Parts>("executor.load()"));
    Napi::Object self = info.This().As<Napi::Object>();
    self.TypeTag(&kTag);
    self.DefineProperty(
        Napi::PropertyDescriptor::Value("info", to_js(env, engine::info(*parts_.model)), napi_enumerable));
    Napi::MemoryManagement::AdjustExternalMemory(env, parts_.bytes);
  });
}

void ModelWrap::Finalize(Napi::BasicEnv env) {
  if (parts_.model) Napi::MemoryManagement::AdjustExternalMemory(env, -parts_.bytes);
}

std::shared_ptr<engine::Model> ModelWrap::model() const {
  if (!parts_.model) {
    throw Error(ErrorCode::kDisposed, "this model was disposed", "Load it again.");
  }
  return parts_.model;
}

Napi::Value ModelWrap::run(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Model");
    PinnedRequest pinned = request_from(info[0]);
    // Read after the request: its getters are the caller's code and may dispose this model.
    const std::shared_ptr<engine::Model> model = this->model();
    return JobWrap::start(info.Env(), parts_.executor, std::move(pinned.pin), [&](engine::Callback callback) {
      return (*parts_.executor)->submit(model, std::move(pinned.request), std::move(callback));
    });
  });
}

Napi::Value ModelWrap::walk(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Model");
    PinnedRequest pinned = request_from(info[0]);
    return WalkWrap::start(info.Env(), parts_.executor, model(), std::move(pinned));
  });
}

Napi::Value ModelWrap::flow(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Model");
    PinnedRequest pinned = request_from(info[0]);
    const engine::FlowOptions options = flow_options_from(info[1]);
    return FlowWrap::start(info.Env(), parts_.executor, model(), std::move(pinned), options);
  });
}

void ModelWrap::dispose(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    require_tag(info, kTag, "Model");
    if (!parts_.model) return;
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -parts_.bytes);
    parts_.model.reset();
  });
}

}  // namespace kfd::node
