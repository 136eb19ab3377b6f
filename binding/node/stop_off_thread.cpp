#include "stop_off_thread.h"

#include <thread>

#include "addon_data.h"

namespace kfd::node {

namespace {

// Joining threads waits for what they are doing, so it happens on a thread of its own.
class PendingStop : public Pending {
 public:
  explicit PendingStop(Napi::Promise::Deferred deferred) : deferred_(deferred) {}
  ~PendingStop() override {
    if (stopping_.joinable()) stopping_.join();
  }
  void begin(std::shared_ptr<StoppedAtExit> threads, const Ticket& ticket) {
    stopping_ = std::thread([threads = std::move(threads), ticket]() mutable {
      threads->stop();
      threads.reset();
      ticket.deliver(ShutdownOutcome{});
    });
  }
  void settle(Napi::Env env, Delivery) override { deferred_.Resolve(env.Undefined()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::thread stopping_;
};

}  // namespace

Napi::Promise stop_off_thread(Napi::Env env, std::shared_ptr<StoppedAtExit> threads) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  auto pending = std::make_unique<PendingStop>(deferred);
  PendingStop& waiting = *pending;
  waiting.begin(std::move(threads), AddonData::of(env).completion().expect(std::move(pending)));
  return deferred.Promise();
}

}  // namespace kfd::node
