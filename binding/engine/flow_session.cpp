#include "engine/flow_session.h"

#include "engine/errors.h"
#include "engine/flow_pass.h"
#include "engine/forward.h"

namespace kfd::engine {
namespace {

// Shared by the handle and by the one task that may be queued or running. While a task runs, it alone touches request,
// record and run.
struct FlowState {
  std::shared_ptr<Lanes> lanes;
  std::shared_ptr<Model> model;
  FlowOptions options;
  Request request;
  std::unique_ptr<FlowRecord> record;
  std::unique_ptr<FlowPassRun> run;

  std::mutex mutex;
  std::shared_ptr<Task> task;  // queued or running
  bool closed = false;

  // Under the mutex, while no task runs.
  void free() {
    run.reset();
    record.reset();
    request = {};
  }
};

NamedArrays to_arrays(const NamedTensors& tensors) {
  NamedArrays arrays;
  for (const NamedTensor& tensor : tensors) {
    arrays.emplace_back(tensor.name, to_array(tensor.value));
  }
  return arrays;
}

std::unique_ptr<Result> run_forward_call(FlowState& state, const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  NamedTensors outputs;
  const at::Tensor input = network_input(state.request, state.model->options.input);
  const auto ready = std::chrono::steady_clock::now();
  state.record = std::make_unique<FlowRecord>(
      run_flow_forward(*state.model, state.options.full, state.request.prompts, input, stop));
  outputs = state.record->outputs;
  if (state.request.return_input) {
    outputs.push_back({"input", input});
  }
  state.request = {};
  auto result = std::make_unique<Result>();
  result->arrays = to_arrays(outputs);
  const std::chrono::duration<double, std::milli> before = ready - start;
  const std::chrono::duration<double, std::milli> forward = std::chrono::steady_clock::now() - ready;
  result->timing.preprocess_ms = before.count();
  result->timing.forward_ms = forward.count();
  result->timing.batch = input.size(0);
  return result;
}

std::unique_ptr<Result> run_begin_call(FlowState& state, FlowPass pass) {
  const auto start = std::chrono::steady_clock::now();
  state.run.reset();  // a pass in the middle is given up
  state.run = start_pass(*state.model, *state.record, std::move(pass));
  auto result = std::make_unique<Result>();
  result->arrays.emplace_back("y", to_array(state.run->seeds().y));
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  result->timing.forward_ms = time.count();
  result->timing.batch = state.record->tokens.size(0);
  return result;
}

std::unique_ptr<BlockEvent> run_next_call(FlowState& state) {
  const auto step = state.run->step();
  auto event = std::make_unique<BlockEvent>();
  event->block = step.block;
  event->last = state.run->done();
  event->arrays = to_arrays(step.arrays);
  if (event->last) {
    state.run.reset();
  }
  return event;
}

// One call of the flow. `Outcome` is what its callback takes, `work` makes what the outcome holds.
template <typename AnyOutcome, typename Work>
class CallTask final : public Task {
 public:
  using AnyCallback = std::function<void(AnyOutcome)>;
  CallTask(std::shared_ptr<FlowState> state, int64_t bytes, AnyCallback callback, Work work)
      : state_(std::move(state)), bytes_(bytes), callback_(std::move(callback)), work_(std::move(work)) {}

  int64_t bytes() const override { return bytes_; }

  void refuse(const Error& error) override {
    settle(AnyOutcome{nullptr, std::make_unique<Error>(error)});  // the flow stays as it is
  }

  void run_group(const std::vector<std::shared_ptr<Task>>&) override {
    AnyOutcome outcome;
    try {
      if (stop() != Stop::kNo) {
        throw stop_error(stop());
      }
      const c10::InferenceMode inference;
      const auto waited = std::chrono::steady_clock::now() - submitted;
      outcome = AnyOutcome{work_(*state_, [this] { return stop() != Stop::kNo; }), nullptr};
      add_waiting(outcome, std::chrono::duration<double, std::milli>(waited).count());
    } catch (...) {
      outcome = AnyOutcome{nullptr, std::make_unique<Error>(current_error("running a flow"))};
    }
    state_->lanes->count_outcome(outcome.error == nullptr, stop() != Stop::kNo);
    settle(std::move(outcome));
  }

 private:
  static void add_waiting(Outcome& outcome, double ms) { outcome.result->timing.queue_ms = ms; }
  static void add_waiting(BlockOutcome&, double) {}

  void settle(AnyOutcome outcome) {
    {
      const std::unique_lock lock(state_->mutex);
      state_->task.reset();
      if (state_->closed) {
        state_->free();
      }
    }
    call_back(callback_, std::move(outcome));
  }

  std::shared_ptr<FlowState> state_;
  int64_t bytes_;
  AnyCallback callback_;
  Work work_;
};

class FlowSession final : public Flow {
 public:
  explicit FlowSession(std::shared_ptr<FlowState> state) : state_(std::move(state)) {}
  ~FlowSession() override { FlowSession::close(); }

  void forward(Callback callback) override {
    const auto refusal = [this] { return state_->record ? "forward() was called twice" : nullptr; };
    submit<Outcome>(std::move(callback), refusal,
                    [](FlowState& state, const std::function<bool()>& stop) { return run_forward_call(state, stop); });
  }

  void begin(FlowPass pass, Callback callback) override {
    const auto refusal = [this] { return state_->record ? nullptr : "begin() was called before forward()"; };
    submit<Outcome>(std::move(callback), refusal,
                    [pass = std::move(pass)](FlowState& state, const std::function<bool()>&) {
                      return run_begin_call(state, pass);
                    });
  }

  void next(BlockCallback callback) override {
    const auto refusal = [this] {
      return state_->run ? nullptr : "next() was called without a pass that has blocks left";
    };
    submit<BlockOutcome>(std::move(callback), refusal,
                         [](FlowState& state, const std::function<bool()>&) { return run_next_call(state); });
  }

  void close() override {
    std::shared_ptr<Task> task;
    {
      const std::unique_lock lock(state_->mutex);
      state_->closed = true;
      task = state_->task;
      if (!task) {
        state_->free();
      }
    }
    if (task) {
      state_->lanes->cancel(task);
    }
  }

 private:
  // refusal(): why the call makes no sense now, or null; asked under the mutex while no task runs.
  template <typename AnyOutcome, typename Refusal, typename Work>
  void submit(std::function<void(AnyOutcome)> callback, const Refusal& refusal, Work work) {
    std::shared_ptr<Task> task;
    std::unique_ptr<Error> error;
    {
      const std::unique_lock lock(state_->mutex);
      if (state_->task) {
        error = std::make_unique<Error>(ErrorCode::kInvalidArgument, "a flow takes one call at a time",
                                        "wait for the callback of the call before");
      } else if (state_->closed) {
        error = std::make_unique<Error>(ErrorCode::kDisposed, "the flow has been closed");
      } else if (const char* reason = refusal()) {
        error = std::make_unique<Error>(ErrorCode::kInvalidArgument, reason,
                                        "call forward() once, then begin() for each pass, then next() until the last");
      } else {
        // before forward() the request still holds the image
        task = std::make_shared<CallTask<AnyOutcome, Work>>(state_, request_bytes(state_->request), callback,
                                                            std::move(work));
        state_->task = task;
      }
    }
    if (task) {
      state_->lanes->submit(task);
    } else {
      call_back(callback, AnyOutcome{nullptr, std::move(error)});
    }
  }

  std::shared_ptr<FlowState> state_;
};

}  // namespace

std::shared_ptr<Flow> make_flow(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request,
                                FlowOptions options) {
  auto state = std::make_shared<FlowState>();
  state->lanes = std::move(lanes);
  state->model = std::move(model);
  state->options = options;
  state->request = std::move(request);
  return std::make_shared<FlowSession>(std::move(state));
}

}  // namespace kfd::engine
