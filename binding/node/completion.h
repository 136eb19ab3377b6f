// From a lane thread to the JavaScript thread.
//
// Whoever starts native work registers a Pending (what to do with the result; it owns the promise and the pinned
// buffers) and gives the engine a Ticket. The ticket may be used from any thread, once. Everything that touches
// JavaScript stays on the JavaScript thread: a Pending is created, settled and destroyed there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "../engine/engine.h"
#include "../llm/llm.h"
#include "napi_setup.h"
#include "uv_async.h"

namespace kfd::node {

struct LoadOutcome {
  std::shared_ptr<engine::Model> model;
  std::unique_ptr<Error> error;
};
struct ShutdownOutcome {};
using Delivery = std::variant<engine::Outcome, engine::BlockOutcome, LoadOutcome, llm::LoadOutcome, llm::WriteOutcome,
                              ShutdownOutcome>;

class Pending {
 public:
  virtual ~Pending() = default;
  // Runs once, inside a handle scope and a callback scope. Not called when the environment ends first.
  virtual void settle(Napi::Env env, Delivery delivery) = 0;
};

class Completion;

class Ticket {
 public:
  Ticket(std::shared_ptr<Completion> completion, uint64_t id) : completion_(std::move(completion)), id_(id) {}
  void deliver(Delivery delivery) const;

 private:
  std::shared_ptr<Completion> completion_;
  uint64_t id_;
};

class Completion : public std::enable_shared_from_this<Completion> {
 public:
  explicit Completion(Napi::Env env);
  ~Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  // JavaScript thread. The event loop stays alive until the ticket has been delivered.
  Ticket expect(std::unique_ptr<Pending> pending);
  // JavaScript thread. No promise is settled from here on; what arrives is dropped, and the loop is kept alive until
  // close().
  void stop_settling();
  // JavaScript thread, when no other thread can deliver any more. `closed` runs when libuv has let go of the handle.
  void close(std::function<void()> closed);
  // Any thread: calls `task` on the JavaScript thread, outside any callback scope; used by the clean-up hook.
  void post_task(std::function<void()> task);

 private:
  friend class Ticket;
  struct Posted {
    uint64_t id = 0;
    Delivery delivery;
  };

  void post(uint64_t id, Delivery delivery);
  void drain();
  void settle(Posted posted);

  napi_env env_;
  std::unique_ptr<Napi::AsyncContext> context_;
  std::unique_ptr<char[]> handle_memory_;
  uv_async_s* handle_ = nullptr;
  bool closing_ = false;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Pending>> pending_;
  std::function<void()> closed_;

  std::mutex mutex_;  // guards the three below
  std::vector<Posted> posted_;
  std::vector<std::function<void()>> tasks_;
  bool handle_open_ = true;
};

}  // namespace kfd::node
