#include "executor_wrap.h"

#include <filesystem>

#include "convert.h"
#include "errors.h"
#include "job_wrap.h"
#include "model_wrap.h"
#include "stop_off_thread.h"

namespace kfd::node {

namespace {

constexpr napi_type_tag kTag{0x4b46444578656375, 0x9a64c3e782f14d04};

class PendingLoad : public Pending {
 public:
  PendingLoad(Napi::Promise::Deferred deferred, std::shared_ptr<SharedExecutor> executor, std::string path)
      : deferred_(deferred), executor_(std::move(executor)), path_(std::move(path)) {}

  void settle(Napi::Env env, Delivery delivery) override {
    SharedExecutor::note_first_use();
    auto& outcome = std::get<LoadOutcome>(delivery);
    if (outcome.error) {
      deferred_.Reject(to_js_error(env, *outcome.error).Value());
      return;
    }
    // The file's size stands for the weights: near enough to let the garbage collector see that a model is not small.
    std::error_code missing;
    const auto size = std::filesystem::file_size(path_, missing);
    deferred_.Resolve(ModelWrap::create(
        env, {std::move(executor_), std::move(outcome.model), missing ? 0 : static_cast<int64_t>(size)}));
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<SharedExecutor> executor_;
  std::string path_;
};

}  // namespace

Napi::Function ExecutorWrap::define(Napi::Env env) {
  return DefineClass(env, "Executor",
                     {InstanceMethod<&ExecutorWrap::load>("load", napi_enumerable),
                      InstanceMethod<&ExecutorWrap::preprocess>("preprocess", napi_enumerable),
                      InstanceMethod<&ExecutorWrap::stats>("stats", napi_enumerable),
                      InstanceMethod<&ExecutorWrap::shutdown>("shutdown", napi_enumerable)});
}

ExecutorWrap::ExecutorWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ExecutorWrap>(info) {
  guarded(info.Env(), [&] {
    executor_ = AddonData::of(info.Env()).create<SharedExecutor>(executor_options_from(info[0]));
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

Napi::Value ExecutorWrap::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    require_tag(info, kTag, "Executor");
    if (!info[0].IsString()) throw argument_error("a string", "path", info[0]);
    const std::string path = info[0].As<Napi::String>().Utf8Value();
    engine::ModelOptions options = model_options_from(info[1]);
    const auto deferred = Napi::Promise::Deferred::New(env);
    const Ticket ticket =
        AddonData::of(env).completion().expect(std::make_unique<PendingLoad>(deferred, executor_, path));
    try {
      (*executor_)
          ->load(path, std::move(options),
                 [ticket](std::shared_ptr<engine::Model> model, std::unique_ptr<Error> error) {
                   ticket.deliver(LoadOutcome{std::move(model), std::move(error)});
                 });
    } catch (const Error& error) {
      ticket.deliver(LoadOutcome{nullptr, std::make_unique<Error>(error)});
    }
    return deferred.Promise();
  });
}

Napi::Value ExecutorWrap::preprocess(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Executor");
    const engine::InputSpec spec = input_spec_from(info[0], "spec");
    PinnedImage pinned = image_from(info[1], info[2]);
    return JobWrap::start(info.Env(), executor_, std::move(pinned.pin), [&](engine::Callback callback) {
      return (*executor_)->preprocess(spec, pinned.image, std::move(callback));
    });
  });
}

Napi::Value ExecutorWrap::stats(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Executor");
    return to_js(info.Env(), (*executor_)->stats());
  });
}

Napi::Value ExecutorWrap::shutdown(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    require_tag(info, kTag, "Executor");
    return stop_off_thread(env, executor_);
  });
}

}  // namespace kfd::node
