#include "walk_wrap.h"

#include "errors.h"

namespace kfd::node {

namespace {

constexpr napi_type_tag kTag{0x4b464457616c6b57, 0x7e21b9c06f3d4a02};

class PendingStep : public Pending {
 public:
  PendingStep(Napi::Promise::Deferred deferred, std::shared_ptr<WalkWrap::State> state)
      : deferred_(deferred), state_(std::move(state)) {}

  void settle(Napi::Env env, Delivery delivery) override {
    auto& outcome = std::get<engine::BlockOutcome>(delivery);
    state_->stepping = false;
    if (outcome.error || !outcome.event) state_->closed = true;
    state_->release_when_idle();
    if (outcome.error) {
      deferred_.Reject(to_js_error(env, *outcome.error).Value());
    } else if (outcome.event) {
      deferred_.Resolve(to_js(env, *outcome.event));
    } else {
      deferred_.Resolve(env.Null());
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<WalkWrap::State> state_;
};

}  // namespace

WalkWrap::State::~State() {
  if (walk && !closed) walk->close();
}

void WalkWrap::State::release_when_idle() {
  if (!closed || stepping) return;
  walk.reset();
  pin.Reset();
  executor.reset();
}

Napi::Function WalkWrap::define(Napi::Env env) {
  return DefineClass(env, "Walk",
                     {InstanceMethod<&WalkWrap::next>("next", napi_enumerable),
                      InstanceMethod<&WalkWrap::close>("close", napi_enumerable)});
}

Napi::Object WalkWrap::start(Napi::Env env, std::shared_ptr<SharedExecutor> executor,
                             std::shared_ptr<engine::Model> model, PinnedRequest request) {
  AddonData& data = AddonData::of(env);
  auto state = std::make_shared<State>();
  state->executor = std::move(executor);
  state->pin = std::move(request.pin);
  state->walk = (*state->executor)->walk(std::move(model), std::move(request.request));
  return data.construct(data.walk_class, state);
}

WalkWrap::WalkWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WalkWrap>(info) {
  guarded(info.Env(), [&] {
    state_ = AddonData::of(info.Env()).take_parts<std::shared_ptr<State>>("model.walk()");
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

Napi::Value WalkWrap::next(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    require_tag(info, kTag, "Walk");
    if (state_->stepping) {
      throw Error(ErrorCode::kInvalidArgument, "next() was called before the previous one settled",
                  "Await each next() before the following one.");
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    if (state_->closed) {
      deferred.Resolve(env.Null());
      return deferred.Promise();
    }
    state_->stepping = true;
    const Ticket ticket = AddonData::of(env).completion().expect(std::make_unique<PendingStep>(deferred, state_));
    try {
      state_->walk->next([ticket](engine::BlockOutcome outcome) { ticket.deliver(std::move(outcome)); });
    } catch (const Error& error) {
      ticket.deliver(engine::BlockOutcome{nullptr, std::make_unique<Error>(error)});
    }
    return deferred.Promise();
  });
}

void WalkWrap::close(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    require_tag(info, kTag, "Walk");
    if (state_->closed) return;
    state_->closed = true;
    state_->walk->close();
    state_->release_when_idle();
  });
}

}  // namespace kfd::node
