// The thread that owns a Session, and its queue of writes.
#include <cmath>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "llm/llm.h"
#include "llm/session.h"

namespace kfd::llm {
namespace {

constexpr size_t kMostWaiting = 256;
constexpr int64_t kMostSequences = 64;
constexpr int64_t kMostPositions = 1 << 17;
constexpr int64_t kMostThreads = 256;
constexpr size_t kLongestText = 1 << 20;

void expect(bool holds, const std::string& expected, const std::string& name, const std::string& found) {
  if (holds) return;
  throw Error(ErrorCode::kInvalidArgument, "Expected " + expected + " for " + name + " but received " + found);
}

void expect_range(int64_t value, int64_t least, int64_t most, const std::string& name) {
  expect(value >= least && value <= most, "an integer from " + std::to_string(least) + " to " + std::to_string(most),
         name, std::to_string(value));
}

void check_options(const PrefixOptions& options) {
  expect(!options.model.empty(), "the path of a GGUF file", "model", "an empty one");
  expect(std::isfinite(static_cast<float>(options.adapter_scale)) && options.adapter_scale != 0,
         "a finite number other than 0", "adapter.scale", std::to_string(options.adapter_scale));
  expect_range(options.sequences, 1, kMostSequences, "sequences");
  expect_range(options.context_size, 1, kMostPositions, "contextSize");
  expect_range(options.sequences * options.context_size, 1, kMostPositions, "sequences * contextSize");
  expect_range(options.threads, 1, kMostThreads, "threads");
  expect_range(options.gpu_layers, 0, 1000, "gpuLayers");
}

void check_piece(const Piece& piece, const PrefixInfo& info, const std::string& name) {
  expect(!piece.tokens.empty(), "at least one token or row", name, "none");
  for (const int32_t token : piece.tokens) expect_range(token, 0, info.vocabulary - 1, "a token of " + name);
  if (piece.rows.empty()) return;
  expect(piece.rows.size() == piece.tokens.size() * static_cast<size_t>(info.width),
         std::to_string(piece.tokens.size()) + " rows of " + std::to_string(info.width) + " values", name + ".rows",
         std::to_string(piece.rows.size()) + " values");
  for (size_t i = 0; i < piece.rows.size(); ++i) {
    expect(std::isfinite(piece.rows[i]), "finite values", name + ".rows",
           "NaN or infinity in row " + std::to_string(i / static_cast<size_t>(info.width)));
  }
}

// llama.cpp looks at none of this.
void check_request(const WriteRequest& request, const PrefixInfo& info) {
  expect(!request.file.empty(), "the path of the state file", "file", "an empty one");
  expect(!request.pieces.empty(), "at least one piece", "pieces", "none");
  size_t positions = 0;
  for (size_t i = 0; i < request.pieces.size(); ++i) {
    check_piece(request.pieces[i], info, "pieces[" + std::to_string(i) + "]");
    positions += request.pieces[i].tokens.size();
  }
  expect(positions <= static_cast<size_t>(info.context_size),
         "at most " + std::to_string(info.context_size) + " positions (contextSize)", "pieces",
         std::to_string(positions));
}

Error current_error(const std::string& doing) {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, doing + ": the system refused memory");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kInternal, doing + ": " + error.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, doing + ": an exception of unknown type");
  }
}

class Worker;

class WriteJob final : public Job, public std::enable_shared_from_this<WriteJob> {
 public:
  WriteJob(std::weak_ptr<Worker> worker, WriteRequest wanted, std::function<void(WriteOutcome)> callback)
      : request(std::move(wanted)), worker_(std::move(worker)), callback_(std::move(callback)) {}

  void cancel() override;
  void fail(Error error) { callback_({nullptr, std::make_unique<Error>(std::move(error))}); }
  void succeed(Written written) { callback_({std::make_unique<Written>(std::move(written)), nullptr}); }

  const WriteRequest request;
  std::atomic<bool> cancelled{false};

 private:
  std::weak_ptr<Worker> worker_;
  std::function<void(WriteOutcome)> callback_;
};

class Worker final : public Prefix, public std::enable_shared_from_this<Worker> {
 public:
  Worker(PrefixOptions options, std::function<void(LoadOutcome)> callback)
      : api_(api()), thread_([this, options = std::move(options), callback = std::move(callback)] {
          load(options, callback);
          work();
        }) {}
  ~Worker() override { close(); }

  std::vector<int32_t> tokenize(const std::string& text, bool special) const override {
    expect(text.size() <= kLongestText, "at most 1 MiB of text", "text", std::to_string(text.size()) + " bytes");
    const std::shared_lock lock(session_mutex_);
    return session().tokenize(text, special);
  }

  std::shared_ptr<Job> write(WriteRequest request, std::function<void(WriteOutcome)> callback) override {
    {
      const std::shared_lock lock(session_mutex_);
      check_request(request, session().info());
    }
    auto job = std::make_shared<WriteJob>(weak_from_this(), std::move(request), std::move(callback));
    const std::lock_guard lock(mutex_);
    if (stop_) throw Error(ErrorCode::kDisposed, "This prefix writer is closed");
    if (queue_.size() >= kMostWaiting) {
      throw Error(ErrorCode::kQueueFull, std::to_string(kMostWaiting) + " writes wait already",
                  "Wait for some of them.");
    }
    queue_.push_back(job);
    wake_.notify_one();
    return job;
  }

  void close() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      wake_.notify_one();
    }
    std::call_once(joined_, [this] { thread_.join(); });
  }

  // Takes a waiting job out of the queue; false when it runs or is over.
  bool withdraw(const WriteJob& job) {
    const std::lock_guard lock(mutex_);
    return std::erase_if(queue_, [&](const auto& waiting) { return waiting.get() == &job; }) > 0;
  }

 private:
  // With session_mutex_ held.
  const Session& session() const {
    if (session_) return *session_;
    if (stop_) throw Error(ErrorCode::kDisposed, "This prefix writer is closed", "Load it again.");
    throw Error(ErrorCode::kInvalidArgument, "The language model is not loaded", "Wait until it is.");
  }

  void load(const PrefixOptions& options, const std::function<void(LoadOutcome)>& callback) {
    LoadOutcome outcome;
    try {
      auto loaded = std::make_unique<Session>(api_, options, stop_);
      outcome.info = std::make_unique<PrefixInfo>(loaded->info());
      const std::unique_lock lock(session_mutex_);
      session_ = std::move(loaded);
    } catch (...) {
      outcome.info.reset();
      outcome.error = std::make_unique<Error>(current_error("loading the language model"));
    }
    callback(std::move(outcome));
  }

  void work() {
    while (const std::shared_ptr<WriteJob> job = next()) run(*job);
    std::deque<std::shared_ptr<WriteJob>> left;
    {
      const std::lock_guard lock(mutex_);
      left.swap(queue_);
    }
    for (const auto& job : left) job->fail(Error(ErrorCode::kAborted, "The prefix writer was closed"));
    const std::unique_lock lock(session_mutex_);
    session_.reset();
  }

  std::shared_ptr<WriteJob> next() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return nullptr;
    auto job = std::move(queue_.front());
    queue_.pop_front();
    return job;
  }

  void run(WriteJob& job) {
    Written written;
    try {
      written = session_->write(job.request, [&] { return stop_ || job.cancelled; });
    } catch (...) {
      job.fail(current_error("writing a prefix"));
      return;
    }
    job.succeed(std::move(written));
  }

  const Api& api_;
  // Written by the thread alone; the lock is for those who read it from other threads (vocabulary, info).
  mutable std::shared_mutex session_mutex_;
  std::unique_ptr<Session> session_;

  std::mutex mutex_;  // guards the queue
  std::condition_variable wake_;
  std::deque<std::shared_ptr<WriteJob>> queue_;
  std::atomic<bool> stop_{false};
  std::once_flag joined_;
  std::thread thread_;  // last: it uses all of the above
};

void WriteJob::cancel() {
  cancelled = true;
  const std::shared_ptr<Worker> worker = worker_.lock();
  if (worker && worker->withdraw(*this)) fail(Error(ErrorCode::kAborted, "The write was aborted"));
}

}  // namespace

std::shared_ptr<Prefix> Prefix::load(PrefixOptions options, std::function<void(LoadOutcome)> callback) {
  check_options(options);
  return std::make_shared<Worker>(std::move(options), std::move(callback));
}

}  // namespace kfd::llm
