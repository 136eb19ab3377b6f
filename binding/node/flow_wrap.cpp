#include "flow_wrap.h"

#include "errors.h"

namespace kfd::node {

namespace {

constexpr napi_type_tag kTag{0x4b4644466c6f7700, 0x52d89a3be1704c05};

// A call of forward(), begin() or next() under way. An error leaves the flow as the engine left it: a full queue or a
// refused pass may be tried again.
class PendingCall : public Pending {
 public:
  PendingCall(Napi::Promise::Deferred deferred, std::shared_ptr<FlowWrap::State> state)
      : deferred_(deferred), state_(std::move(state)) {}

 protected:
  template <class Value>
  void settle_with(Napi::Env env, const std::unique_ptr<Value>& value, const std::unique_ptr<Error>& error) {
    state_->calling = false;
    state_->release_when_idle();
    if (error) {
      deferred_.Reject(to_js_error(env, *error).Value());
    } else if (value) {
      deferred_.Resolve(to_js(env, *value));
    } else {
      deferred_.Resolve(env.Null());
    }
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<FlowWrap::State> state_;
};

class PendingForward : public PendingCall {
 public:
  using PendingCall::PendingCall;
  void settle(Napi::Env env, Delivery delivery) override {
    SharedExecutor::note_first_use();
    auto& outcome = std::get<engine::Outcome>(delivery);
    // Only a forward pass that a full queue refused reads the pixels again.
    if (!outcome.error || outcome.error->code() != ErrorCode::kQueueFull) state_->pin.Reset();
    settle_with(env, outcome.result, outcome.error);
  }
};

class PendingBegin : public PendingCall {
 public:
  using PendingCall::PendingCall;
  void settle(Napi::Env env, Delivery delivery) override {
    auto& outcome = std::get<engine::Outcome>(delivery);
    settle_with(env, outcome.result, outcome.error);
  }
};

class PendingNext : public PendingCall {
 public:
  using PendingCall::PendingCall;
  void settle(Napi::Env env, Delivery delivery) override {
    auto& outcome = std::get<engine::BlockOutcome>(delivery);
    settle_with(env, outcome.event, outcome.error);
  }
};

engine::Callback run_callback(const Ticket& ticket) {
  return [ticket](engine::Outcome outcome) { ticket.deliver(std::move(outcome)); };
}

engine::BlockCallback block_callback(const Ticket& ticket) {
  return [ticket](engine::BlockOutcome outcome) { ticket.deliver(std::move(outcome)); };
}

}  // namespace

FlowWrap::State::~State() {
  if (flow && !closed) flow->close();
}

void FlowWrap::State::release_when_idle() {
  if (!closed || calling) return;
  flow.reset();
  pin.Reset();
  executor.reset();
}

Napi::Function FlowWrap::define(Napi::Env env) {
  return DefineClass(env, "Flow",
                     {InstanceMethod<&FlowWrap::forward>("forward", napi_enumerable),
                      InstanceMethod<&FlowWrap::begin>("begin", napi_enumerable),
                      InstanceMethod<&FlowWrap::next>("next", napi_enumerable),
                      InstanceMethod<&FlowWrap::close>("close", napi_enumerable)});
}

Napi::Object FlowWrap::start(Napi::Env env, std::shared_ptr<SharedExecutor> executor,
                             std::shared_ptr<engine::Model> model, PinnedRequest request,
                             const engine::FlowOptions& options) {
  AddonData& data = AddonData::of(env);
  auto state = std::make_shared<State>();
  state->executor = std::move(executor);
  state->pin = std::move(request.pin);
  state->flow = (*state->executor)->flow(std::move(model), std::move(request.request), options);
  return data.construct(data.flow_class, state);
}

FlowWrap::FlowWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FlowWrap>(info) {
  guarded(info.Env(), [&] {
    state_ = AddonData::of(info.Env()).take_parts<std::shared_ptr<State>>("model.flow()");
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

void FlowWrap::require_ready() const {
  if (state_->calling) {
    throw Error(ErrorCode::kInvalidArgument, "a flow does one thing at a time, and its previous call has not settled",
                "Await forward(), begin() and each next() before the following call.");
  }
  if (state_->closed) {
    throw Error(ErrorCode::kDisposed, "this flow was closed", "Start another with model.flow().");
  }
}

template <class PendingKind, class Submit>
Napi::Value FlowWrap::call(Napi::Env env, const Submit& submit) {
  require_ready();
  const auto deferred = Napi::Promise::Deferred::New(env);
  const Ticket ticket = AddonData::of(env).completion().expect(std::make_unique<PendingKind>(deferred, state_));
  state_->calling = true;
  submit(*state_->flow, ticket);
  return deferred.Promise();
}

Napi::Value FlowWrap::forward(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Flow");
    return call<PendingForward>(info.Env(), [](engine::Flow& flow, const Ticket& ticket) {
      try {
        flow.forward(run_callback(ticket));
      } catch (const Error& error) {
        ticket.deliver(engine::Outcome{nullptr, std::make_unique<Error>(error)});
      }
    });
  });
}

Napi::Value FlowWrap::begin(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Flow");
    engine::FlowPass pass = flow_pass_from(info[0]);
    return call<PendingBegin>(info.Env(), [&](engine::Flow& flow, const Ticket& ticket) {
      try {
        flow.begin(std::move(pass), run_callback(ticket));
      } catch (const Error& error) {
        ticket.deliver(engine::Outcome{nullptr, std::make_unique<Error>(error)});
      }
    });
  });
}

Napi::Value FlowWrap::next(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    require_tag(info, kTag, "Flow");
    return call<PendingNext>(info.Env(), [](engine::Flow& flow, const Ticket& ticket) {
      try {
        flow.next(block_callback(ticket));
      } catch (const Error& error) {
        ticket.deliver(engine::BlockOutcome{nullptr, std::make_unique<Error>(error)});
      }
    });
  });
}

void FlowWrap::close(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    require_tag(info, kTag, "Flow");
    if (state_->closed) return;
    state_->closed = true;
    state_->flow->close();
    state_->release_when_idle();
  });
}

}  // namespace kfd::node
