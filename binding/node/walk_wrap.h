// A walk that stands still between blocks: `next()` and `close()`.
#pragma once

#include <memory>

#include "addon_data.h"
#include "convert.h"

namespace kfd::node {

class WalkWrap : public Napi::ObjectWrap<WalkWrap> {
 public:
  // The executor is declared first: the walk is released before the lanes it parks on.
  struct State {
    std::shared_ptr<SharedExecutor> executor;
    Pin pin;
    std::shared_ptr<engine::Walk> walk;
    bool stepping = false;  // a next() is under way
    bool closed = false;

    ~State();
    // Lets walk and pixels go once no lane can be reading them.
    void release_when_idle();
  };

  static Napi::Function define(Napi::Env env);
  static Napi::Object start(Napi::Env env, std::shared_ptr<SharedExecutor> executor,
                            std::shared_ptr<engine::Model> model, PinnedRequest request);

  explicit WalkWrap(const Napi::CallbackInfo& info);

 private:
  Napi::Value next(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<State> state_;
};

}  // namespace kfd::node
