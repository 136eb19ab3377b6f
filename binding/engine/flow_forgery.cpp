// Derivatives of the detector's own decision (spec/kfd.md 4-8), by torch's autograd: the classifier is a scripted
// module of any structure. The encoder is not run again, and the locator does not feed p.
#include <torch/csrc/autograd/autograd.h>

#include "engine/flow_seeds.h"

namespace kfd::engine {
namespace {

// Autograd for the length of a scope on this thread alone; other lanes stay in their InferenceMode.
class RecordingScope {
 private:
  c10::InferenceMode off_{false};
  at::AutoGradMode on_{true};
  torch::jit::GraphOptimizerEnabledGuard plain_graphs_{false};  // as in Forward::step
};

// A copy that autograd can follow: what InferenceMode made cannot.
at::Tensor variable(const at::Tensor& tensor) { return tensor.clone().requires_grad_(); }

// The sum over images has each image's own derivative, for no value of an image depends on another.
std::vector<at::Tensor> derivatives(const at::Tensor& y, const std::vector<at::Tensor>& variables) {
  if (!y.requires_grad()) {
    throw Error(ErrorCode::kModelUnsupported,
                "the detector's score has no derivative: its classifier detaches the maps from the graph",
                "export the classifier without detach() and torch.no_grad()");
  }
  return torch::autograd::grad({y.sum()}, variables, /*grad_outputs=*/{}, /*retain_graph=*/std::nullopt,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

}  // namespace

TargetSeeds forgery_seeds(const KfdHeads& heads, const std::vector<at::Tensor>& tap_tokens, int64_t prefix_tokens,
                          int64_t grid_height, int64_t grid_width, int64_t height, int64_t width) {
  const RecordingScope recording;
  std::vector<at::Tensor> tokens;
  std::vector<KfdHeads::Level> levels;
  for (size_t i = 0; i < tap_tokens.size(); ++i) {
    tokens.push_back(variable(tap_tokens[i]));
    levels.push_back(heads.level(i, tokens[i], prefix_tokens, grid_height, grid_width, height, width));
  }
  const at::Tensor forged = heads.classify(levels).select(1, 1);  // (B), p of the class deepfake
  levels.clear();                                                 // the graph keeps what it needs
  const std::vector<at::Tensor> rows = derivatives(forged, tokens);

  TargetSeeds target;
  target.y = forged.detach();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].defined()) {  // else the classifier does not read this level
      target.seeds.push_back({heads.taps()[i], rows[i]});
    }
  }
  return target;
}

TargetSeeds class_token_forgery_seeds(const KfdHeads& heads, const std::vector<at::Tensor>& tap_tokens,
                                      const at::Tensor& head_output) {
  const RecordingScope recording;
  const bool reads_head = head_output.defined() && head_output.size(-1) == heads.class_embeddings().size(1);
  const at::Tensor read = variable(reads_head ? head_output : tap_tokens.back().slice(1, 0, 1));  // (B,C) or (B,1,D)
  const at::Tensor cosine = heads.cosine(reads_head ? read : heads.adapt(heads.taps().size() - 1, read));
  const at::Tensor y = (heads.logit_scale() * (cosine.select(-1, 1) - cosine.select(-1, 0))).flatten();  // (B)

  TargetSeeds target;
  target.y = y.detach();
  const at::Tensor derivative = derivatives(y, {read}).front();
  if (reads_head) {
    target.head_output = derivative;
  } else {
    target.seeds.push_back({heads.last_tap(), derivative});
  }
  return target;
}

}  // namespace kfd::engine
