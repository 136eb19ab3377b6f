// Lanes: batching, cancelling, bounds, streamed walks, shutdown with work in flight. Where a test needs a queue, the
// only lane is held inside a callback; where it needs work in flight, a blocker (a batch of many images) runs.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "reference.h"

using namespace kfd::engine;
using namespace kfd::test;
using namespace std::chrono_literals;

namespace {

struct Pending {
  std::shared_ptr<std::promise<Outcome>> promise = std::make_shared<std::promise<Outcome>>();
  std::future<Outcome> future = promise->get_future();
  std::shared_ptr<std::atomic<int>> calls = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<Job> job;

  // kInternal stands for "a result came"
  ErrorCode code() {
    Outcome outcome = future.get();
    return outcome.error ? outcome.error->code() : ErrorCode::kInternal;
  }
};

Pending submit(Executor& executor, const std::shared_ptr<Model>& model, Request request) {
  Pending pending;
  pending.job =
      executor.submit(model, std::move(request), [promise = pending.promise, calls = pending.calls](Outcome outcome) {
        if (++*calls == 1) {
          promise->set_value(std::move(outcome));
        }
      });
  return pending;
}

// Keeps a lane inside a job's callback until it is released.
class HeldLane {
 public:
  HeldLane(Executor& executor, const std::shared_ptr<Model>& model, Request request) {
    // The callback may outlive this object: it owns what it waits for.
    const auto entered = std::make_shared<std::promise<void>>();
    executor.submit(model, std::move(request), [entered, released = released_.get_future().share()](const Outcome&) {
      entered->set_value();
      released.wait();
    });
    entered->get_future().wait();
  }
  void release() { released_.set_value(); }

 private:
  std::promise<void> released_;
};

class Fixture {
 public:
  Fixture() : reference(one_case("vit_plain")) {
    model = load_model(reference.model("scripted"), options_of(reference, ModelKind::kVit));
  }

  Request tensor(int64_t images) const {
    Array many{{images, 3, 48, 48}, {}};
    const auto& image = reference.array("image").data;
    for (int64_t i = 0; i < images; ++i) {
      many.data.insert(many.data.end(), image.begin(), image.begin() + 3 * 48 * 48);
    }
    return tensor_request(many);
  }

  // Holds the lane for some tenths of a second.
  Request blocker() const { return tensor(400); }

  Request image(uint8_t seed) const {
    auto pixels = std::make_shared<std::vector<uint8_t>>(60 * 50 * 3);
    for (size_t i = 0; i < pixels->size(); ++i) {
      (*pixels)[i] = static_cast<uint8_t>(seed * 31 + i * 7 + i / 50);
    }
    Request request;
    request.image = {pixels->data(), 60, 50, pixels};
    return request;
  }

  Case reference;
  std::shared_ptr<Model> model;
};

// The next event of a walk, or what ended it.
BlockOutcome next(Walk& walk) {
  std::promise<BlockOutcome> promise;
  walk.next([&](BlockOutcome outcome) { promise.set_value(std::move(outcome)); });
  return promise.get_future().get();
}

bool wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) {
    std::this_thread::sleep_for(1ms);
  }
  return condition();
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "queued images of one kind share a forward and get their own rows") {
  const auto executor = one_lane();
  std::vector<Result> alone;
  for (uint8_t i = 0; i < 6; ++i) {
    alone.push_back(run(*executor, model, image(i)));
    CHECK(alone.back().timing.batch == 1);
  }
  HeldLane held(*executor, model, tensor(1));
  std::vector<Pending> queued;
  for (uint8_t i = 0; i < 6; ++i) {
    Request request = image(i);
    request.hooks.class_token = i == 5;  // another walk: must not join the batch
    queued.push_back(submit(*executor, model, std::move(request)));
  }
  held.release();
  const std::vector<int64_t> batches{4, 4, 4, 4, 1, 1};
  for (size_t i = 0; i < 6; ++i) {
    Outcome outcome = queued[i].future.get();
    REQUIRE(outcome.result);
    CHECK(outcome.result->timing.batch == batches[i]);
    CHECK(relative_error(get(*outcome.result, "logits"), get(alone[i], "logits")) <= 1e-5);
  }
  CHECK(relative_error(get(alone[0], "logits"), get(alone[1], "logits")) > 1e-2);
  CHECK(executor->stats().batched_items == 6 + 1 + 6);
}

TEST_CASE_FIXTURE(Fixture, "a queued job is cancelled at once") {
  const auto executor = one_lane();
  HeldLane held(*executor, model, tensor(1));
  Pending queued = submit(*executor, model, tensor(1));
  queued.job->cancel();
  REQUIRE(queued.future.wait_for(0s) == std::future_status::ready);
  CHECK(queued.code() == ErrorCode::kAborted);
  queued.job->cancel();
  held.release();
  CHECK(submit(*executor, model, tensor(1)).code() == ErrorCode::kInternal);
  CHECK(*queued.calls == 1);
  CHECK(executor->stats().cancelled == 1);
}

TEST_CASE_FIXTURE(Fixture, "a running job stops at the next block") {
  const auto executor = one_lane();
  bool stopped_early = false;
  // Time is measured, on a machine that may be busy: one good try of five will do.
  for (int attempt = 0; attempt < 5 && !stopped_early; ++attempt) {
    const auto before = std::chrono::steady_clock::now();
    CHECK(submit(*executor, model, blocker()).code() == ErrorCode::kInternal);
    const auto whole = std::chrono::steady_clock::now() - before;

    Pending running = submit(*executor, model, blocker());
    REQUIRE(wait_until([&] { return executor->stats().running_items == 1; }));
    const auto start = std::chrono::steady_clock::now();
    running.job->cancel();
    running.job->cancel();
    CHECK(running.code() == ErrorCode::kAborted);
    CHECK(*running.calls == 1);
    stopped_early = std::chrono::steady_clock::now() - start < 0.7 * whole;
  }
  CHECK(stopped_early);
}

TEST_CASE_FIXTURE(Fixture, "cancelling one image of a batch leaves the others alone") {
  const auto executor = one_lane();
  HeldLane held(*executor, model, tensor(1));
  std::vector<Pending> queued;
  for (uint8_t i = 0; i < 3; ++i) {
    queued.push_back(submit(*executor, model, image(i)));
  }
  queued[1].job->cancel();
  held.release();
  CHECK(queued[0].code() == ErrorCode::kInternal);
  CHECK(queued[1].code() == ErrorCode::kAborted);
  CHECK(queued[2].code() == ErrorCode::kInternal);
}

TEST_CASE_FIXTURE(Fixture, "the queue is bounded in items and in bytes") {
  ExecutorOptions options;
  options.max_queue_items = 2;
  options.max_queue_bytes = 40'000'000;
  const auto executor = Executor::create(options);
  HeldLane held(*executor, model, tensor(1));
  Pending first = submit(*executor, model, tensor(1));
  Pending large = submit(*executor, model, tensor(1500));  // 41 MB
  REQUIRE(large.future.wait_for(0s) == std::future_status::ready);
  CHECK(large.code() == ErrorCode::kQueueFull);
  CHECK(executor->stats().queued_bytes == 3 * 48 * 48 * 4);
  Pending second = submit(*executor, model, tensor(1));
  Pending third = submit(*executor, model, tensor(1));
  CHECK(third.code() == ErrorCode::kQueueFull);
  CHECK(executor->stats().refused == 2);
  held.release();
  CHECK(first.code() == ErrorCode::kInternal);
  CHECK(second.code() == ErrorCode::kInternal);
}

TEST_CASE_FIXTURE(Fixture, "shutdown settles every callback exactly once, and refuses what comes later") {
  auto executor = one_lane();
  std::vector<Pending> jobs;
  jobs.push_back(submit(*executor, model, tensor(1200)));
  for (uint8_t i = 0; i < 20; ++i) {
    jobs.push_back(submit(*executor, model, image(i)));
  }
  REQUIRE(wait_until([&] { return executor->stats().running_items == 1; }));
  executor->shutdown();
  for (Pending& job : jobs) {
    REQUIRE(job.future.wait_for(0s) == std::future_status::ready);
    CHECK(job.code() == ErrorCode::kDisposed);
    CHECK(*job.calls == 1);
  }
  Pending late = submit(*executor, model, tensor(1));
  CHECK(late.code() == ErrorCode::kDisposed);
  std::promise<ErrorCode> load;
  executor->load(reference.model("scripted"), options_of(reference, ModelKind::kVit),
                 [&](const std::shared_ptr<Model>& loaded, std::unique_ptr<Error> error) {
                   load.set_value(loaded ? ErrorCode::kInternal : error->code());
                 });
  CHECK(load.get_future().get() == ErrorCode::kDisposed);
  executor->shutdown();
  executor.reset();
  jobs.front().job->cancel();  // a handle may outlive the executor
}

TEST_CASE_FIXTURE(Fixture, "an executor may be destroyed from one of its own callbacks") {
  std::promise<void> done;
  std::shared_ptr<Executor> executor = one_lane();
  executor->submit(model, tensor(1), [&](const Outcome&) {
    executor.reset();
    done.set_value();
  });
  CHECK(done.get_future().wait_for(30s) == std::future_status::ready);
}

TEST_CASE_FIXTURE(Fixture, "a callback that throws does no harm") {
  const auto executor = one_lane();
  executor->submit(model, tensor(1), [](const Outcome&) { throw 42; });
  CHECK(submit(*executor, model, tensor(1)).code() == ErrorCode::kInternal);
}

TEST_CASE_FIXTURE(Fixture, "loading runs on a lane and reports failures") {
  const auto executor = one_lane();
  std::promise<std::shared_ptr<Model>> good;
  executor->load(
      reference.model("scripted"), options_of(reference, ModelKind::kVit),
      [&](std::shared_ptr<Model> loaded, const std::unique_ptr<Error>&) { good.set_value(std::move(loaded)); });
  const auto loaded = good.get_future().get();
  REQUIRE(loaded);
  CHECK(submit(*executor, loaded, tensor(1)).code() == ErrorCode::kInternal);
  std::promise<ErrorCode> bad;
  executor->load("/absent.pt", {},
                 [&](const std::shared_ptr<Model>&, std::unique_ptr<Error> error) { bad.set_value(error->code()); });
  CHECK(bad.get_future().get() == ErrorCode::kModelLoad);
}

TEST_CASE_FIXTURE(Fixture, "a streamed walk gives each block's rows and ends with the outputs") {
  const auto executor = one_lane();
  Request request = tensor_request(reference.array("image"));
  request.hooks.class_token = request.hooks.class_attention = true;
  request.hooks.tokens = {1};
  const Result whole = run(*executor, model, request);
  const auto walk = executor->walk(model, request);
  for (int64_t b = 0; b < 3; ++b) {
    const BlockOutcome outcome = next(*walk);
    REQUIRE(outcome.event);
    CHECK(outcome.event->block == b);
    CHECK(outcome.event->last == (b == 2));
    Array expected = rows(get(whole, "class_attention"), b, 1);
    expected.shape.erase(expected.shape.begin());
    const Array* row = find(outcome.event->arrays, "class_attention");
    REQUIRE(row != nullptr);
    CHECK(relative_error(*row, expected) == 0);
    CHECK((find(outcome.event->arrays, "tokens.1") != nullptr) == (b == 1));
    const Array* logits = find(outcome.event->arrays, "logits");
    REQUIRE((logits != nullptr) == (b == 2));
    if (logits != nullptr) {
      CHECK(relative_error(*logits, get(whole, "logits")) == 0);
    }
  }
  const BlockOutcome after = next(*walk);
  CHECK_FALSE(after.event);
  CHECK_FALSE(after.error);
}

TEST_CASE_FIXTURE(Fixture, "a KFD walk ends with p and S") {
  const auto executor = one_lane();
  const Case c = one_case("kfd");
  const auto detector = load_model(c.model("scripted"), options_of(c, ModelKind::kKfd));
  const auto walk = executor->walk(detector, tensor_request(c.array("image")));
  BlockOutcome outcome;
  int blocks = 0;
  for (bool last = false; !last; ++blocks) {
    outcome = next(*walk);
    REQUIRE(outcome.event);
    last = outcome.event->last;
  }
  CHECK(blocks == 3);  // only up to the last tap
  CHECK(find(outcome.event->arrays, "p") != nullptr);
  CHECK(find(outcome.event->arrays, "map") != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "two walks take turns on one lane") {
  const auto executor = one_lane();
  const auto first = executor->walk(model, tensor(1));
  const auto second = executor->walk(model, tensor(2));
  for (int64_t b = 0; b < 3; ++b) {
    CHECK(next(*first).event->block == b);
    CHECK(next(*second).event->block == b);
  }
}

TEST_CASE_FIXTURE(Fixture, "closing a walk early frees it and settles what is pending") {
  const auto executor = one_lane();
  const auto idle = executor->walk(model, tensor(1));
  REQUIRE(next(*idle).event);
  idle->close();
  idle->close();
  const BlockOutcome after = next(*idle);
  CHECK_FALSE(after.event);
  CHECK_FALSE(after.error);

  HeldLane held(*executor, model, tensor(1));
  const auto waiting = executor->walk(model, tensor(1));
  std::promise<BlockOutcome> step;
  waiting->next([&](BlockOutcome outcome) { step.set_value(std::move(outcome)); });
  std::promise<BlockOutcome> second_step;
  waiting->next([&](BlockOutcome outcome) { second_step.set_value(std::move(outcome)); });
  const BlockOutcome refused = second_step.get_future().get();
  REQUIRE(refused.error);
  CHECK(refused.error->code() == ErrorCode::kInvalidArgument);
  waiting->close();
  const BlockOutcome closed = step.get_future().get();
  REQUIRE(closed.error);
  CHECK(closed.error->code() == ErrorCode::kAborted);
  held.release();
}

TEST_CASE_FIXTURE(Fixture, "a walk ends when its executor is shut down") {
  auto executor = one_lane();
  const auto walk = executor->walk(model, tensor(1));
  REQUIRE(next(*walk).event);
  executor.reset();
  const BlockOutcome after = next(*walk);
  REQUIRE(after.error);
  CHECK(after.error->code() == ErrorCode::kDisposed);
}

TEST_CASE_FIXTURE(Fixture, "several lanes and several callers at once") {
  ExecutorOptions options;
  options.lanes = 2;
  const auto executor = Executor::create(options);
  const Array expected = get(run(*executor, model, image(1)), "logits");
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        const Result result = run(*executor, model, image(1));
        good += relative_error(get(result, "logits"), expected) <= 1e-5 ? 1 : 0;
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  CHECK(good == 40);
}

TEST_CASE("impossible executor options are refused") {
  ExecutorOptions options;
  options.lanes = 0;
  CHECK_THROWS_AS(Executor::create(options), Error);
  options.lanes = 1;
  options.max_batch = 0;
  CHECK_THROWS_AS(Executor::create(options), Error);
}
