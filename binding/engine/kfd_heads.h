// The heads of the KFD detector on top of its encoder's taps (spec/kfd.md 4-9, arXiv 2503.14853): adapters, cosine
// similarity with the two class embeddings, similarity maps, then locator, classifier and prompt learner. These three
// are scripted submodules; a locator of the published structure runs on own code.
#pragma once

#include <vector>

#include "engine/kfd_locator.h"
#include "engine/prompt_module.h"

namespace kfd::engine {

// A named output; batch_dim -1: the same for every image.
struct NamedTensor {
  std::string name;
  at::Tensor value;
  int64_t batch_dim = 0;
};
using NamedTensors = std::vector<NamedTensor>;

// What a pass gives beside its plain outputs and hooks; see Request.
struct Extras {
  bool intermediates = false;
  bool prompts = false;
  bool any() const { return intermediates || prompts; }
  bool operator==(const Extras&) const = default;
};
inline Extras extras_of(const Request& request) { return {request.intermediates, request.prompts}; }

// g: the encoder's output (B,D), rows of unit length
at::Tensor unit_feature(const at::Tensor& output);

class KfdHeads {
 public:
  // Throws kModelUnsupported when children are missing and kModelMismatch when taps or adapters do not fit the depth.
  KfdHeads(const Module& module, const ModelOptions& options, int64_t depth, int64_t width);

  const std::vector<int64_t>& taps() const { return taps_; }
  int64_t last_tap() const { return taps_.back(); }
  double logit_scale() const { return logit_scale_; }
  const at::Tensor& class_embeddings() const { return class_embeddings_; }  // (2,d)

  // The adapter of one level: (...,D) -> F (...,d)
  at::Tensor adapt(size_t level, const at::Tensor& tokens) const { return adapters_[level](tokens); }
  // Cosine similarity with both class embeddings: (...,d) -> (...,2)
  at::Tensor cosine(const at::Tensor& features) const;

  // One tap: tokens (B,N,D) after block taps()[level] -> M (B,2,H,W), logits of the two classes; class axis 0 =
  // pristine, 1 = deepfake. `features` (B,P,d) is F of the same level, before its rows are normalised.
  struct Level {
    at::Tensor features;
    at::Tensor maps;
  };
  Level level(size_t level, const at::Tensor& tokens, int64_t prefix_tokens, int64_t grid_height, int64_t grid_width,
              int64_t height, int64_t width) const;

  // Where the locator has the published structure: checks own code against it on random maps and keeps that when they
  // agree. Says in `info` what came of it: the feature "own-locator", or a warning.
  void choose_locator(const at::Device& device, ModelInfo& info);

  // p (B,2), shares of the classes
  at::Tensor classify(const std::vector<Level>& levels) const;

  // p (B,2) and map (B,H,W); with `intermediates` also S (B,2,H,W), F<i>, E, M<i> and P. The scripted children are
  // called as locator(maps), classifier(maps) and prompt_learner(maps, locator's output (B,2,H,W), p). `prompts`, where
  // there is one, gives P in place of the module's own prompt learner.
  NamedTensors outputs(const std::vector<Level>& levels, const Extras& extras, const PromptModule* prompts) const;

 private:
  at::Tensor locate(const c10::List<at::Tensor>& maps) const;

  std::vector<int64_t> taps_;
  double logit_scale_;
  std::vector<Linear> adapters_;
  at::Tensor class_embeddings_;
  Module locator_, classifier_;
  std::unique_ptr<KfdLocator> own_locator_;
  std::optional<Module> prompt_learner_;
};

}  // namespace kfd::engine
