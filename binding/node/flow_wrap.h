// A forward pass kept for attention flows: `forward()`, `begin()`, `next()` and `close()`.
#pragma once

#include <memory>

#include "addon_data.h"
#include "convert.h"

namespace kfd::node {

class FlowWrap : public Napi::ObjectWrap<FlowWrap> {
 public:
  // The executor is declared first: the flow is released before the lanes it parks on.
  struct State {
    std::shared_ptr<SharedExecutor> executor;
    Pin pin;
    std::shared_ptr<engine::Flow> flow;
    bool calling = false;  // a call is under way
    bool closed = false;

    ~State();
    // Lets flow and pixels go once no lane can be reading them.
    void release_when_idle();
  };

  static Napi::Function define(Napi::Env env);
  static Napi::Object start(Napi::Env env, std::shared_ptr<SharedExecutor> executor,
                            std::shared_ptr<engine::Model> model, PinnedRequest request,
                            const engine::FlowOptions& options);

  explicit FlowWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value next(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  // Throws unless a call may start: none is under way and the flow is open.
  void require_ready() const;
  // Registers a PendingKind, then calls `submit(flow, ticket)`, which turns a refusal into a rejection.
  template <class PendingKind, class Submit>
  Napi::Value call(Napi::Env env, const Submit& submit);

  std::shared_ptr<State> state_;
};

}  // namespace kfd::node
