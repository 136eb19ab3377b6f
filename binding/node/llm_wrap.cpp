#include "llm_wrap.h"

#include "errors.h"
#include "llm_convert.h"
#include "stop_off_thread.h"

namespace kfd::node {

namespace {

constexpr napi_type_tag kTag{0x4b46444c6c616d61, 0x7be1904d3a2f4c05};

class PendingReady : public Pending {
 public:
  explicit PendingReady(Napi::Promise::Deferred deferred) : deferred_(deferred) {}

  void settle(Napi::Env env, Delivery delivery) override {
    StoppedAtExit::note_first_use();
    auto& outcome = std::get<llm::LoadOutcome>(delivery);
    if (outcome.error) {
      deferred_.Reject(to_js_error(env, *outcome.error).Value());
    } else {
      deferred_.Resolve(to_js(env, *outcome.info));
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
};

class PendingWrite : public Pending {
 public:
  PendingWrite(Napi::Promise::Deferred deferred, std::shared_ptr<SharedPrefix> prefix)
      : deferred_(deferred), prefix_(std::move(prefix)) {}

  void settle(Napi::Env env, Delivery delivery) override {
    StoppedAtExit::note_first_use();
    auto& outcome = std::get<llm::WriteOutcome>(delivery);
    if (outcome.error) {
      deferred_.Reject(to_js_error(env, *outcome.error).Value());
    } else {
      deferred_.Resolve(to_js(env, *outcome.written));
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<SharedPrefix> prefix_;
};

}  // namespace

Napi::Value open_llama(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&]() -> Napi::Value { return to_js(info.Env(), llm::open_library(library_options_from(info[0]))); });
}

Napi::Function LlmWrap::define(Napi::Env env) {
  return DefineClass(env, "LlamaPrefix",
                     {InstanceMethod<&LlmWrap::tokenize>("tokenize", napi_enumerable),
                      InstanceMethod<&LlmWrap::write>("write", napi_enumerable),
                      InstanceMethod<&LlmWrap::close>("close", napi_enumerable)});
}

LlmWrap::LlmWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LlmWrap>(info) {
  const Napi::Env env = info.Env();
  guarded(env, [&] {
    llm::PrefixOptions options = prefix_options_from(info[0]);
    AddonData& data = AddonData::of(env);
    const auto deferred = Napi::Promise::Deferred::New(env);
    const Ticket ticket = data.completion().expect(std::make_unique<PendingReady>(deferred));
    try {
      prefix_ = data.create<SharedPrefix>(std::move(options),
                                          [ticket](llm::LoadOutcome outcome) { ticket.deliver(std::move(outcome)); });
    } catch (const Error& error) {
      ticket.deliver(llm::LoadOutcome{nullptr, std::make_unique<Error>(error)});
    }
    Napi::Object self = info.This().As<Napi::Object>();
    self.TypeTag(&kTag);
    self.DefineProperty(Napi::PropertyDescriptor::Value("ready", deferred.Promise(), napi_enumerable));
  });
}

Napi::Value LlmWrap::tokenize(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "LlamaPrefix");
    if (!info[0].IsString()) throw argument_error("a string", "text", info[0]);
    if (!info[1].IsBoolean()) throw argument_error("true or false", "special", info[1]);
    return to_js(info.Env(),
                 prefix()->tokenize(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::Boolean>().Value()));
  });
}

Napi::Value LlmWrap::write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    require_tag(info, kTag, "LlamaPrefix");
    llm::WriteRequest request = write_request_from(info[0]);
    const auto deferred = Napi::Promise::Deferred::New(env);
    std::shared_ptr<llm::Job> job;
    const Ticket ticket = AddonData::of(env).completion().expect(std::make_unique<PendingWrite>(deferred, prefix_));
    try {
      job = prefix()->write(std::move(request),
                            [ticket](llm::WriteOutcome outcome) { ticket.deliver(std::move(outcome)); });
    } catch (const Error& error) {
      ticket.deliver(llm::WriteOutcome{nullptr, std::make_unique<Error>(error)});
    }
    auto handle = Napi::Object::New(env);
    handle.Set("promise", deferred.Promise());
    handle.Set("cancel", Napi::Function::New(
                             env,
                             [job](const Napi::CallbackInfo&) {
                               if (job) job->cancel();
                             },
                             "cancel"));
    return handle;
  });
}

Napi::Value LlmWrap::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    require_tag(info, kTag, "LlamaPrefix");
    if (prefix_) return stop_off_thread(env, prefix_);
    const auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  });
}

SharedPrefix& LlmWrap::prefix() const {
  if (!prefix_) throw Error(ErrorCode::kDisposed, "This prefix writer never began");
  return *prefix_;
}

}  // namespace kfd::node
