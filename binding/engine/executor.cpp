#include "engine/batch.h"
#include "engine/errors.h"
#include "engine/flow_session.h"
#include "engine/preprocess.h"
#include "engine/walk_session.h"

namespace kfd::engine {
namespace {

class TaskJob final : public Job {
 public:
  TaskJob(const std::shared_ptr<Lanes>& lanes, const std::shared_ptr<Task>& task) : lanes_(lanes), task_(task) {}

  void cancel() override {
    const auto lanes = lanes_.lock();
    const auto task = task_.lock();
    if (lanes && task) {
      lanes->cancel(task);
    }
  }

 private:
  std::weak_ptr<Lanes> lanes_;
  std::weak_ptr<Task> task_;
};

class FinishedJob final : public Job {
 public:
  void cancel() override {}
};

class LaneExecutor final : public Executor {
 public:
  explicit LaneExecutor(const ExecutorOptions& options) : lanes_(Lanes::start(options)) {}
  ~LaneExecutor() override { lanes_->shutdown(); }

  void load(std::string path, ModelOptions options,
            std::function<void(std::shared_ptr<Model>, std::unique_ptr<Error>)> callback) override {
    lanes_->submit(make_load_task(lanes_, std::move(path), std::move(options), std::move(callback)));
  }

  std::shared_ptr<Job> submit(std::shared_ptr<Model> model, Request request, Callback callback) override {
    try {
      require_model(model);
      validate_request(*model, request);
    } catch (...) {
      return refuse(callback);
    }
    return queue(make_forward_task(lanes_, std::move(model), std::move(request), std::move(callback)));
  }

  std::shared_ptr<Walk> walk(std::shared_ptr<Model> model, Request request) override {
    require_model(model);
    validate_request(*model, request);
    if (!model->walks_blocks()) {
      throw Error(ErrorCode::kInvalidArgument, "a streamed walk needs a model whose blocks are walked",
                  "load it as a vision transformer or KFD model, without plain_forward");
    }
    return make_walk(lanes_, std::move(model), std::move(request));
  }

  std::shared_ptr<Flow> flow(std::shared_ptr<Model> model, Request request, FlowOptions options) override {
    require_model(model);
    validate_request(*model, request);
    if (request.hooks.any() || request.intermediates) {
      throw Error(ErrorCode::kInvalidArgument, "a flow takes neither hooks nor intermediates");
    }
    if (!model->walks_blocks()) {
      throw Error(ErrorCode::kInvalidArgument, "a flow needs a model whose blocks are walked",
                  "load it as a vision transformer or KFD model, without plain_forward");
    }
    return make_flow(lanes_, std::move(model), std::move(request), options);
  }

  std::shared_ptr<Job> preprocess(InputSpec spec, ImageInput image, Callback callback) override {
    try {
      validate_input_spec(spec);
      if (image.data == nullptr) {
        throw Error(ErrorCode::kInvalidArgument, "an image without pixels cannot be preprocessed");
      }
      validate_image(image);
    } catch (...) {
      return refuse(callback);
    }
    return queue(make_preprocess_task(lanes_, spec, std::move(image), std::move(callback)));
  }

  ExecutorStats stats() const override { return lanes_->stats(); }
  void shutdown() override { lanes_->shutdown(); }

 private:
  static void require_model(const std::shared_ptr<Model>& model) {
    if (!model) {
      throw Error(ErrorCode::kDisposed, "the model is gone");
    }
  }

  // To be called inside a catch block.
  static std::shared_ptr<Job> refuse(const Callback& callback) {
    call_back(callback, Outcome{nullptr, std::make_unique<Error>(current_error("checking the request"))});
    return std::make_shared<FinishedJob>();
  }

  std::shared_ptr<Job> queue(const std::shared_ptr<Task>& task) {
    auto job = std::make_shared<TaskJob>(lanes_, task);
    lanes_->submit(task);
    return job;
  }

  std::shared_ptr<Lanes> lanes_;
};

}  // namespace

std::unique_ptr<Executor> Executor::create(const ExecutorOptions& options) {
  return std::make_unique<LaneExecutor>(options);
}

}  // namespace kfd::engine
