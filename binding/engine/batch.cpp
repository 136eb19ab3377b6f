#include "engine/batch.h"

#include "engine/errors.h"
#include "engine/forward.h"
#include "engine/preprocess.h"

namespace kfd::engine {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Reports to a Callback exactly once.
class Settlement {
 public:
  Settlement(std::shared_ptr<Lanes> lanes, Callback callback)
      : lanes_(std::move(lanes)), callback_(std::move(callback)) {}

  void succeed(std::unique_ptr<Result> result) {
    lanes_->count_outcome(true, false);
    report({std::move(result), nullptr});
  }
  void fail(const Error& error) {
    const bool stopped = error.code() == ErrorCode::kAborted || error.code() == ErrorCode::kDisposed;
    lanes_->count_outcome(false, stopped);
    report({nullptr, std::make_unique<Error>(error)});
  }
  // Before it ran: Lanes has counted it already.
  void refuse(const Error& error) { report({nullptr, std::make_unique<Error>(error)}); }

 private:
  void report(Outcome outcome) {
    Callback callback = std::move(callback_);
    callback_ = nullptr;
    if (callback) {
      call_back(callback, std::move(outcome));
    }
  }

  std::shared_ptr<Lanes> lanes_;
  Callback callback_;
};

// Rows `from` to `from + count` of the batch axis, as arrays.
NamedArrays rows_of(const NamedTensors& tensors, int64_t from, int64_t count) {
  NamedArrays arrays;
  for (const NamedTensor& tensor : tensors) {
    const at::Tensor part =
        tensor.batch_dim < 0 ? tensor.value : tensor.value.slice(tensor.batch_dim, from, from + count);
    arrays.emplace_back(tensor.name, to_array(part));
  }
  return arrays;
}

class ForwardTask final : public Task {
 public:
  ForwardTask(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request, Callback callback)
      : lanes_(lanes),
        model_(std::move(model)),
        request_(std::move(request)),
        bytes_(request_bytes(request_)),
        settlement_(std::move(lanes), std::move(callback)) {}

  void refuse(const Error& error) override {
    release();
    settlement_.refuse(error);
  }
  int64_t bytes() const override { return bytes_; }

  // Single images of the same walk. Modules of unknown make (kModule) may have a fixed batch, so they run alone.
  bool joins(const Task& other) const override {
    const auto* task = dynamic_cast<const ForwardTask*>(&other);
    return task != nullptr && task->model_ == model_ && model_->info.kind != ModelKind::kModule &&
           request_.image.data != nullptr && task->request_.image.data != nullptr &&
           request_.hooks == task->request_.hooks && extras_of(request_) == extras_of(task->request_) &&
           request_.return_input == task->request_.return_input;
  }

  void run_group(const std::vector<std::shared_ptr<Task>>& group) override {
    std::vector<std::shared_ptr<ForwardTask>> members;
    members.reserve(group.size());
    for (const auto& task : group) {
      members.push_back(std::static_pointer_cast<ForwardTask>(task));
    }
    preprocess(members);
    if (!members.empty()) {
      run_batch(members);
    }
  }

 private:
  void release() {
    request_.image = {};
    request_.tensor = {};
    input_.reset();
    model_.reset();
  }
  void fail(const Error& error) {
    release();
    settlement_.fail(error);
  }

  // Fills input_ of each; members whose image fails, or that were cancelled, are settled and leave the group.
  static void preprocess(std::vector<std::shared_ptr<ForwardTask>>& members) {
    std::erase_if(members, [](const auto& member) {
      const auto start = Clock::now();
      member->timing_.queue_ms = milliseconds(member->submitted, start);
      try {
        if (member->stop() != Stop::kNo) {
          throw stop_error(member->stop());
        }
        c10::InferenceMode inference;
        member->input_ = network_input(member->request_, member->model_->options.input);
        member->timing_.preprocess_ms = milliseconds(start, Clock::now());
        return false;
      } catch (...) {
        member->fail(current_error("preparing the image"));
        return true;
      }
    });
  }

  static void run_batch(const std::vector<std::shared_ptr<ForwardTask>>& members) {
    ForwardTask& first = *members.front();
    try {
      c10::InferenceMode inference;
      std::vector<at::Tensor> inputs;
      inputs.reserve(members.size());
      for (const auto& member : members) {
        inputs.push_back(member->input_);
      }
      const at::Tensor input = inputs.size() == 1 ? inputs.front() : at::cat(inputs);
      first.lanes_->count_batch(input.size(0));
      // A shared forward stops only when nobody waits for it any more.
      const auto stop = [&] {
        return std::all_of(members.begin(), members.end(), [](const auto& m) { return m->stop() != Stop::kNo; });
      };
      const auto start = Clock::now();
      NamedTensors outputs = run_forward(first.model_, first.request_.hooks, extras_of(first.request_), input, stop);
      if (first.request_.return_input || first.request_.intermediates) {
        outputs.push_back({"input", input});
      }
      if (first.model_->device.is_cuda()) {
        torch::cuda::synchronize(first.model_->device.index());
      }
      const double forward_ms = milliseconds(start, Clock::now());
      int64_t row = 0;
      for (const auto& member : members) {
        const int64_t count = member->input_.size(0);
        member->timing_.forward_ms = forward_ms;
        member->timing_.batch = input.size(0);
        member->finish(outputs, row, count);
        row += count;
      }
    } catch (...) {
      const Error error = current_error("running the model");
      for (const auto& member : members) {
        // members that finish() has settled ignore this
        member->fail_unless_settled(error);
      }
    }
  }

  void finish(const NamedTensors& outputs, int64_t row, int64_t count) {
    if (stop() != Stop::kNo) {
      settled_ = true;
      fail(stop_error(stop()));
      return;
    }
    // A module of unknown make may return tensors without a batch axis; it runs alone, so its outputs stay whole.
    auto result = std::make_unique<Result>();
    const bool whole = model_->info.kind == ModelKind::kModule;
    NamedTensors mine = outputs;
    for (NamedTensor& tensor : mine) {
      tensor.batch_dim = whole ? -1 : tensor.batch_dim;
    }
    result->arrays = rows_of(mine, row, count);
    result->timing = timing_;
    settled_ = true;
    release();
    settlement_.succeed(std::move(result));
  }

  void fail_unless_settled(const Error& error) {
    if (!settled_) {
      settled_ = true;
      // a shared forward ends with kAborted only when each member was stopped, each for its own reason
      fail(stop() != Stop::kNo ? stop_error(stop()) : error);
    }
  }

  std::shared_ptr<Lanes> lanes_;
  std::shared_ptr<Model> model_;
  Request request_;
  int64_t bytes_;
  at::Tensor input_;
  Timing timing_;
  bool settled_ = false;
  Settlement settlement_;
};

class PreprocessTask final : public Task {
 public:
  PreprocessTask(std::shared_ptr<Lanes> lanes, InputSpec spec, ImageInput image, Callback callback)
      : spec_(spec), image_(std::move(image)), settlement_(std::move(lanes), std::move(callback)) {}

  void refuse(const Error& error) override { settlement_.refuse(error); }
  int64_t bytes() const override { return image_.width * image_.height * 3; }

  void run_group(const std::vector<std::shared_ptr<Task>>&) override {
    const auto start = Clock::now();
    try {
      if (stop() != Stop::kNo) {
        throw stop_error(stop());
      }
      c10::InferenceMode inference;
      const at::Tensor pixels = fitted_pixels(image_, spec_);
      auto result = std::make_unique<Result>();
      result->arrays.emplace_back("input", to_array(normalised(pixels, spec_)));
      result->arrays.emplace_back("pixels", to_array(pixels));
      result->timing.queue_ms = milliseconds(submitted, start);
      result->timing.preprocess_ms = milliseconds(start, Clock::now());
      image_ = {};
      settlement_.succeed(std::move(result));
    } catch (...) {
      settlement_.fail(current_error("preparing the image"));
    }
  }

 private:
  InputSpec spec_;
  ImageInput image_;
  Settlement settlement_;
};

class LoadTask final : public Task {
 public:
  using LoadCallback = std::function<void(std::shared_ptr<Model>, std::unique_ptr<Error>)>;

  LoadTask(std::shared_ptr<Lanes> lanes, std::string path, ModelOptions options, LoadCallback callback)
      : lanes_(std::move(lanes)),
        path_(std::move(path)),
        options_(std::move(options)),
        callback_(std::move(callback)) {}

  void refuse(const Error& error) override { call_back(callback_, nullptr, std::make_unique<Error>(error)); }

  void run_group(const std::vector<std::shared_ptr<Task>>&) override {
    std::shared_ptr<Model> model;
    std::unique_ptr<Error> error;
    try {
      model = load_model(path_, options_);
    } catch (...) {
      error = std::make_unique<Error>(current_error("loading the model"));
    }
    lanes_->count_outcome(error == nullptr, false);
    call_back(callback_, std::move(model), std::move(error));
  }

 private:
  std::shared_ptr<Lanes> lanes_;
  std::string path_;
  ModelOptions options_;
  LoadCallback callback_;
};

}  // namespace

std::shared_ptr<Task> make_forward_task(std::shared_ptr<Lanes> lanes, std::shared_ptr<Model> model, Request request,
                                        Callback callback) {
  return std::make_shared<ForwardTask>(std::move(lanes), std::move(model), std::move(request), std::move(callback));
}

std::shared_ptr<Task> make_preprocess_task(std::shared_ptr<Lanes> lanes, InputSpec spec, ImageInput image,
                                           Callback callback) {
  return std::make_shared<PreprocessTask>(std::move(lanes), spec, std::move(image), std::move(callback));
}

std::shared_ptr<Task> make_load_task(std::shared_ptr<Lanes> lanes, std::string path, ModelOptions options,
                                     std::function<void(std::shared_ptr<Model>, std::unique_ptr<Error>)> callback) {
  return std::make_shared<LoadTask>(std::move(lanes), std::move(path), std::move(options), std::move(callback));
}

at::Tensor network_input(const Request& request, const InputSpec& spec) {
  if (request.image.data != nullptr) {
    return normalised(fitted_pixels(request.image, spec), spec);
  }
  return at::tensor(at::ArrayRef<float>(request.tensor.data)).view(request.tensor.shape);
}

int64_t request_bytes(const Request& request) {
  return request.image.width * request.image.height * 3 +
         static_cast<int64_t>(request.tensor.data.size() * sizeof(float));
}

Error stop_error(Stop stop) {
  return stop == Stop::kShutdown ? Error(ErrorCode::kDisposed, "the executor was shut down while the job ran")
                                 : Error(ErrorCode::kAborted, "the job was cancelled");
}

}  // namespace kfd::engine
