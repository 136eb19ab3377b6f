// Entry point: what lib/native/types.ts calls NativeAddon.
#include "addon_data.h"
#include "convert.h"
#include "errors.h"
#include "executor_wrap.h"
#include "flow_wrap.h"
#include "job_wrap.h"
#include "llm_wrap.h"
#include "model_wrap.h"
#include "walk_wrap.h"

namespace kfd::node {

namespace {

Napi::Value runtime_info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value { return to_js(info.Env(), engine::runtime_info()); });
}

Napi::Value keep_large_allocations(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&]() -> Napi::Value { return Napi::Boolean::New(info.Env(), engine::keep_large_allocations()); });
}

// process.exit() of the main thread runs no clean-up hooks, but C++ destructors: their threads must have stopped
// before.
void stop_at_exit(Napi::Env env) {
  const Napi::Object process = env.Global().Get("process").As<Napi::Object>();
  const Napi::Function stop =
      Napi::Function::New(env, [](const Napi::CallbackInfo& info) { AddonData::of(info.Env()).stop_threads(); });
  process.Get("on").As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), stop});
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  return guarded(env, [&] {
    auto owned = std::make_unique<AddonData>(env);
    AddonData& data = *owned;
    env.SetInstanceData(owned.release());
    data.executor_class = Napi::Persistent(ExecutorWrap::define(env));
    data.model_class = Napi::Persistent(ModelWrap::define(env));
    data.job_class = Napi::Persistent(JobWrap::define(env));
    data.walk_class = Napi::Persistent(WalkWrap::define(env));
    data.flow_class = Napi::Persistent(FlowWrap::define(env));
    stop_at_exit(env);
    exports.Set("version", KFD_PACKAGE_VERSION);
    exports.Set("Executor", data.executor_class.Value());
    exports.Set("openLlama", Napi::Function::New<open_llama>(env, "openLlama"));
    exports.Set("LlamaPrefix", LlmWrap::define(env));
    exports.Set("runtimeInfo", Napi::Function::New<runtime_info>(env, "runtimeInfo"));
    exports.Set("keepLargeAllocations", Napi::Function::New<keep_large_allocations>(env, "keepLargeAllocations"));
    return exports;
  });
}

}  // namespace

NODE_API_MODULE(kfd_native, init)

}  // namespace kfd::node
