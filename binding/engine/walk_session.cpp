#include "engine/walk_session.h"

#include "engine/errors.h"
#include "engine/forward.h"

namespace kfd::engine {
namespace {

// Shared by the handle and by the step that may be queued or running. Only one step exists at a time (`busy`), so
// `forward` and `request` need no lock of their own.
struct WalkState {
  std::shared_ptr<Lanes> lanes;
  std::shared_ptr<Model> model;
  Request request;
  std::unique_ptr<Forward> forward;

  std::mutex mutex;
  std::shared_ptr<Task> step;  // queued or running
  bool closed = false;
  bool over = false;
};

class StepTask final : public Task {
 public:
  StepTask(std::shared_ptr<WalkState> state, BlockCallback callback)
      : state_(std::move(state)), callback_(std::move(callback)) {}

  int64_t bytes() const override { return state_->forward ? 0 : request_bytes(state_->request); }

  void refuse(const Error& error) override {
    // The queue may be full for the moment only: the walk stays as it is. Anything else ends it.
    settle({nullptr, std::make_unique<Error>(error)}, error.code() != ErrorCode::kQueueFull);
  }

  void run_group(const std::vector<std::shared_ptr<Task>>&) override {
    BlockOutcome outcome;
    bool over = true;
    try {
      if (stop() != Stop::kNo) {
        throw stop_error(stop());
      }
      outcome.event = std::make_unique<BlockEvent>(run_step());
      over = outcome.event->last;
    } catch (...) {
      outcome = {nullptr, std::make_unique<Error>(current_error("running a block"))};
    }
    const bool stopped = stop() != Stop::kNo;
    if (over) {
      state_->lanes->count_outcome(outcome.error == nullptr, stopped);
    }
    settle(std::move(outcome), over);
  }

 private:
  BlockEvent run_step() {
    c10::InferenceMode inference;
    NamedTensors rows;
    if (!state_->forward) {
      const at::Tensor input = network_input(state_->request, state_->model->options.input);
      state_->forward =
          std::make_unique<Forward>(state_->model, state_->request.hooks, extras_of(state_->request), input);
      if (state_->request.return_input || state_->request.intermediates) {
        rows.push_back({"input", input});
      }
      state_->request.image = {};
      state_->request.tensor = {};
    }
    BlockEvent event;
    event.block = state_->forward->next_block();
    for (NamedTensor& row : state_->forward->step()) {
      rows.push_back(std::move(row));
    }
    event.last = state_->forward->done();
    for (const NamedTensor& row : rows) {
      event.arrays.emplace_back(row.name, to_array(row.value));
    }
    return event;
  }

  void settle(BlockOutcome outcome, bool over) {
    {
      std::unique_lock lock(state_->mutex);
      state_->step.reset();
      state_->over = state_->over || over;
      if (state_->over || state_->closed) {
        state_->forward.reset();
        state_->request = {};
      }
    }
    call_back(callback_, std::move(outcome));
  }

  std::shared_ptr<WalkState> state_;
  BlockCallback callback_;
};

class WalkSession final : public Walk {
 public:
  explicit WalkSession(std::shared_ptr<WalkState> state) : state_(std::move(state)) {}
  ~WalkSession() override { WalkSession::close(); }

  void next(BlockCallback callback) override {
    std::shared_ptr<Task> step;
    std::unique_ptr<Error> refusal;
    {
      std::unique_lock lock(state_->mutex);
      if (state_->step) {
        refusal = std::make_unique<Error>(ErrorCode::kInvalidArgument, "next() was called while another next() runs",
                                          "wait for its callback");
      } else if (!state_->closed && !state_->over) {
        step = std::make_shared<StepTask>(state_, callback);
        state_->step = step;
      }
    }
    if (step) {
      state_->lanes->submit(step);
    } else {
      call_back(callback, BlockOutcome{nullptr, std::move(refusal)});
    }
  }

  void close() override {
    std::shared_ptr<Task> step;
    {
      std::unique_lock lock(state_->mutex);
      state_->closed = true;
      step = state_->step;
      if (!step) {
        state_->forward.reset();
        state_->request = {};
      }
    }
    if (step) {
      state_->lanes->cancel(step);
    }
  }

 private:
  std::shared_ptr<WalkState> state_;
};

}  // namespace

std::shared_ptr<Walk> make_walk(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request) {
  auto state = std::make_shared<WalkState>();
  state->lanes = std::move(lanes);
  state->model = std::move(model);
  state->request = std::move(request);
  return std::make_shared<WalkSession>(std::move(state));
}

}  // namespace kfd::engine
