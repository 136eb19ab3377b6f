// The whole surface that binding/node and the C++ tests see. No torch type and no Node type appears here, so that
// including this header costs nothing and either side can be replaced.
//
// Threads: every function may be called from any thread. Heavy work runs on the lanes of an Executor, never on the
// caller's thread. Callbacks arrive on a lane thread (or on the calling thread when a job is refused or cancelled
// before it starts), exactly once a job.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace kfd::engine {

using kfd::Error;
using kfd::ErrorCode;

// A dense row-major float32 array.
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> data;
};
using NamedArrays = std::vector<std::pair<std::string, Array>>;

// ---------------------------------------------------------------------------------------------------------- models

enum class ModelKind {
  kVit,     // timm-named vision transformer: outputs `logits`
  kKfd,     // KFD detector: children encoder, adapters, class_embeddings, locator, classifier (spec/kfd.md 3-8)
  kModule,  // any module taking one image tensor and returning a tensor or a tuple of tensors: outputs `output0` ...
};

enum class Precision { kFloat32 };  // bf16 and int8 join here

enum class Fit {
  kStretch,    // resize to width x height, aspect ratio not kept
  kCrop,       // resize the shorter side, then crop the centre
  kLetterbox,  // resize the longer side, centre, pad with black
};

struct InputSpec {
  int64_t width = 224;
  int64_t height = 224;
  Fit fit = Fit::kStretch;
  // value = (byte / 255 - mean) / std, a channel each, RGB order
  std::array<float, 3> mean{0.485F, 0.456F, 0.406F};
  std::array<float, 3> std{0.229F, 0.224F, 0.225F};
};

struct ModelOptions {
  ModelKind kind = ModelKind::kVit;
  std::string device = "cpu";
  Precision precision = Precision::kFloat32;
  InputSpec input;
  // What a traced module has lost; 0, empty or -1 mean "read it from the module". A given value that contradicts the
  // module is refused.
  int64_t heads = 0;
  double layer_norm_eps = 0;
  std::string activation;  // "gelu", "gelu_tanh", "quick_gelu"
  int64_t prefix_tokens = -1;
  // KFD only
  std::vector<int64_t> taps;
  double logit_scale = 100.0;
  // KFD only: TorchScript file with the children prompt_learner and visual_projection; empty: none.
  std::string prompts_path;
  // Run the module's own forward as it stands (no block walk, no hooks): the peer that `bench` compares with.
  bool plain_forward = false;
  // Keep to torch's own operators even where oneDNN-prepacked linears exist (tests, bench).
  bool disable_prepack = false;
};

struct ModelInfo {
  ModelKind kind = ModelKind::kVit;
  std::string device;
  std::string precision;
  std::string execution;  // "own-blocks-prepacked", "own-blocks", "black-box-blocks", "plain-forward"
  int64_t input_width = 0, input_height = 0;
  int64_t depth = 0, width = 0, heads = 0, patch = 0;
  int64_t prefix_tokens = 0, grid_height = 0, grid_width = 0;
  int64_t classes = 0;  // kVit: length of `logits`; kKfd: 2
  double layer_norm_eps = 0;
  std::string activation;
  std::vector<int64_t> taps;
  int64_t prompt_tokens = 0, prompt_width = 0;  // K and W of the prompts file; 0 without one
  std::vector<std::string> features;  // "layer-scale", "register-tokens", "distillation-token", "norm-pre", "fc-norm",
                                      // "qk-norm", "pos-embed-without-class", ...
  double verification_error = 0;      // max relative difference of own block code to the module's own blocks, at load
  std::vector<std::string> warnings;  // why a fall-back was taken
};

class Model;  // opaque; weights are shared read-only by all lanes

// Loads and checks a model on the calling thread (use Executor::load from Node). Throws Error.
std::shared_ptr<Model> load_model(const std::string& path, const ModelOptions& options);
const ModelInfo& info(const Model& model);

// ------------------------------------------------------------------------------------------------------------ jobs

// Which intermediate values a walk returns. All off: nothing but the outputs. B images, H heads, N tokens (prefix
// first), D width, L blocks.
struct Hooks {
  bool class_token = false;      // `class_token`      [L,B,D]   residual row 0 after block b
  bool class_attention = false;  // `class_attention`  [L,B,H,N] softmax row of the class query
  bool prefix_mass = false;      // `prefix_mass`      [L,B]     class attention (mean over heads) on prefix tokens
  std::vector<int64_t> tokens;   // `tokens.<b>`       [B,N,D]   residual stream after block b (0-based), a tap
  // `contribution` [L,B,N]: signed share of token n in the attention branch's update of the class token along a
  // direction u of the residual stream: sum_h A[h,n] (V[h,n] W_O,h^T)(ls1 * u), without biases of the projection.
  // Empty (off), D values (one direction for all blocks) or L*D values.
  std::vector<float> direction;
  bool any() const { return class_token || class_attention || prefix_mass || !tokens.empty() || !direction.empty(); }
  bool operator==(const Hooks&) const = default;
};

// Row-major 2x3: maps crop pixel coordinates to image pixel coordinates (pixel centres at +0.5 in both).
using Affine = std::array<double, 6>;

// 8-bit RGB (3 channels, interleaved, rows without padding). The memory must stay valid and unchanged until the job's
// callback has run; `owner` keeps it alive.
struct ImageInput {
  const uint8_t* data = nullptr;
  int64_t width = 0;
  int64_t height = 0;
  std::shared_ptr<void> owner;
  bool has_crop = false;  // false: the whole image by InputSpec.fit; true: the warp of `crop` at InputSpec size
  Affine crop{};
};

// Ready-made network input, float32 (B,3,H,W), already normalised.
struct TensorInput {
  std::vector<float> data;
  std::array<int64_t, 4> shape{};
};

struct Request {
  // exactly one of the two: image.data != nullptr, or tensor.shape[0] > 0
  ImageInput image;
  TensorInput tensor;
  Hooks hooks;  // kVit and kKfd (its encoder)
  // kKfd. Always returned: `p` [B,2], `map` [B,H,W] (the forged channel of S). With `intermediates` also
  // `input` [B,3,H,W], `g` [B,D'], `F<i>` [B,P,d] (before normalising), `E` [2,d], `M<i>` [B,2,H,W], `S` [B,2,H,W]; `P`
  // [B,K,W] where a prompt learner exists, and `V` [B,W] where there is a prompts file.
  bool intermediates = false;
  // `P` [B,K,W], the forgery prompts of a language model of width W, and `V` [B,W], its visual token: the input of an
  // explainer (spec/kfd.md 9, 10). Needs ModelOptions::prompts_path.
  bool prompts = false;
  bool return_input = false;  // `input` [B,3,H,W]: what the network saw (tests, reports)
};

struct Timing {
  double queue_ms = 0;       // from submission to the lane taking it
  double preprocess_ms = 0;  // resize, warp, normalise (this item's share of its batch)
  double forward_ms = 0;     // network (wall time of the batch it ran in)
  int64_t batch = 0;         // how many images shared the forward
};

struct Result {
  NamedArrays arrays;
  Timing timing;
};

// Exactly one of result/error is set.
struct Outcome {
  std::unique_ptr<Result> result;
  std::unique_ptr<Error> error;
};
using Callback = std::function<void(Outcome)>;

// One block of a streamed walk, `block` from 0; arrays are the hooks' rows for that block without the leading L.
struct BlockEvent {
  int64_t block = 0;
  bool last = false;  // true: `arrays` also holds the model's outputs
  NamedArrays arrays;
};
struct BlockOutcome {
  std::unique_ptr<BlockEvent> event;  // both empty: the walk is over
  std::unique_ptr<Error> error;
};
using BlockCallback = std::function<void(BlockOutcome)>;

// Handle of a submitted job. cancel(): queued -> dropped at once with kAborted; running -> stops at the next block when
// no other job shares the batch, otherwise its result is dropped. Idempotent.
class Job {
 public:
  virtual ~Job() = default;
  virtual void cancel() = 0;
};

// A walk that stands still between blocks. next() runs one block on a lane; close() frees the state. One next() at a
// time.
class Walk {
 public:
  virtual ~Walk() = default;
  virtual void next(BlockCallback callback) = 0;
  virtual void close() = 0;
};

// -------------------------------------------------------------------------------------------------- attention flow
// DAAM (arXiv 2503.14640, spec/daam.md): one forward pass that keeps what its reverse passes need, and any number of
// reverse passes over it. B images, L blocks, N tokens (prefix first), H heads, D width, C classes, T targets.

enum class Coefficients {
  kGradient,  // dY/dT_b by the full reverse pass (1.3, 4)
  kClassRow,  // the same with all other tokens held constant: exact for the last two blocks only (I6)
  kDirect,    // frozen LayerNorm scales: exactly additive (I4), no reverse pass through the blocks
};

// What is explained: a scalar Y an image, given by its derivative with respect to what the head reads or gives.
struct FlowTarget {
  enum class Kind {
    kLogits,   // `weights` (C) or (B,C) = dY/dlogits. kVit
    kFeature,  // `weights` (D) or (B,D) = dY/df, f the feature that the head reads: after norm, pooling and fc_norm.
               // kVit, and kKfd (its encoder's class token after norm). With a distillation token: the class token's.
    kForgery,  // Y = p[:,1], the probability of fake through adapters and classifier (spec/kfd.md). kKfd
    // Y = logit_scale * <E_1 - E_0, c/|c|>, c the encoder's output g where it is as wide as the class embeddings E,
    // else the last adapter applied to the class token of the last tap. kKfd
    kClassTokenForgery,
  };
  Kind kind = Kind::kLogits;
  std::vector<float> weights;
};

struct FlowPass {
  Coefficients coefficients = Coefficients::kGradient;
  bool all_rows = false;   // decompose every token row of T_b instead of the class token's (distilled: both) alone
  bool per_head = false;   // also `U_heads` and `U_relu_heads`
  bool baselines = false;  // kGradient only: also `attention`, `rollout`, `gradcam`
  std::vector<FlowTarget> targets;  // T right-hand sides of one pass
};

struct FlowOptions {
  bool full = true;  // keep what kGradient, all_rows and baselines need; false: kClassRow and kDirect of the class row
};

// forward() first, then begin() and next() until the event with `last`; begin() again for another pass over the same
// forward pass. One call at a time, as with Walk.
//   forward(): the model's outputs (`logits`; `p` and `map`) and `feature` [B,D], f of FlowTarget::kFeature.
//   begin():   `y` [T,B], the value of each linear form (kLogits: w.logits, kFeature: w.f) or of Y (the others).
//   next():    one block, the last first (kDirect: the first first). S_b[r,n,k] = A_b[r,n] V_b[n,k] (1.2)
//     `C` [T,B,D]          dY/dT_b at the class token (also with all_rows; without a class token: at token 0)
//     `U` [T,B,N]          sum_k C[k] S[n,k], all tokens; with all_rows summed over the rows r with their own C
//     `U_relu` [T,B,N]     the same with max(C, 0)
//     `total` [T,B]        <C, T_b> from the attention's own output: equals the sum of U over n (I15)
//     `U_heads`, `U_relu_heads` [T,B,H,N]
//     kDirect: `attention_bias`, `mlp` [T,B]; the last event also `embedding`, `norm_bias`, `head_bias` and `value`
//     [T,B].
//       Over all blocks sum(U) + attention_bias + mlp, plus these three, equals `value`, the linear form that was
//       split: Y itself for kLogits and kFeature, for the other kinds <dY/dX, X> with dY/dX frozen.
//     baselines: `attention` [B,H,N] class row; `rollout` [B,N], class row of the product of (A + I)/2, A the mean over
//       heads, from the last block down to this one; in the first event `gradcam` [T,B,N], sum_k (dY/dz_0)_k z_n,k
//       before any ReLU, z = norm1's output of the last block and the derivative taken at the class token.
class Flow {
 public:
  virtual ~Flow() = default;
  virtual void forward(Callback callback) = 0;
  virtual void begin(FlowPass pass, Callback callback) = 0;
  virtual void next(BlockCallback callback) = 0;
  virtual void close() = 0;
};

struct ExecutorOptions {
  int64_t lanes = 1;             // own threads
  int64_t threads_per_lane = 1;  // intra-op threads of each
  int64_t max_batch = 4;         // images of compatible queued jobs that share a forward; never waits for more
  int64_t max_queue_items = 1024;
  int64_t max_queue_bytes = int64_t{1} << 30;  // of pinned or copied inputs
};

struct ExecutorStats {
  int64_t queued_items = 0, queued_bytes = 0, running_items = 0;
  int64_t completed = 0, failed = 0, cancelled = 0, refused = 0;
  int64_t batches = 0, batched_items = 0;
};

// Owns the lanes. The destructor (= shutdown) refuses new work, cancels queued and running jobs, joins the lanes; every
// callback has run when it returns.
class Executor {
 public:
  static std::unique_ptr<Executor> create(const ExecutorOptions& options);
  virtual ~Executor() = default;
  // Loads on a lane; the callback gets the model or the error.
  virtual void load(std::string path, ModelOptions options,
                    std::function<void(std::shared_ptr<Model>, std::unique_ptr<Error>)> callback) = 0;
  virtual std::shared_ptr<Job> submit(std::shared_ptr<Model> model, Request request, Callback callback) = 0;
  virtual std::shared_ptr<Walk> walk(std::shared_ptr<Model> model, Request request) = 0;
  // Input, crop and return_input of the request are used; its hooks must be off.
  virtual std::shared_ptr<Flow> flow(std::shared_ptr<Model> model, Request request, FlowOptions options) = 0;
  // Runs the preprocessing alone: `input` [1,3,H,W] float32 and `pixels` [H,W,3] (0..255 before normalising).
  virtual std::shared_ptr<Job> preprocess(InputSpec spec, ImageInput image, Callback callback) = 0;
  virtual ExecutorStats stats() const = 0;
  virtual void shutdown() = 0;
};

// ----------------------------------------------------------------------------------------------------- environment

struct RuntimeInfo {
  std::string torch_version;   // of the headers compiled against
  std::string cpu_capability;  // "AVX512", ...
  bool has_prepacked_linear = false;
  bool cuda_available = false;
  int64_t cuda_devices = 0;
};
RuntimeInfo runtime_info();

// glibc malloc thresholds that keep large activations mapped (spec/engine.md 11): process-wide, off unless asked for.
bool keep_large_allocations();

}  // namespace kfd::engine
