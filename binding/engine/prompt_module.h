// What the explainer's language model is given of a face: an own TorchScript file beside the detector's, with the
// children `prompt_learner` and `visual_projection` (spec/kfd.md 9 and 10).
#pragma once

#include <string>
#include <vector>

#include "engine/module_reader.h"

namespace kfd::engine {

// B images, L levels, D the width of the encoder's output g, K prompts, W the width of the language model.
class PromptModule {
 public:
  // What the detector hands over; the module is tried on random values of these sizes.
  struct Inputs {
    size_t levels = 0;
    int64_t height = 0, width = 0;
    int64_t feature_width = 0;  // D
  };

  // Throws kModelLoad, kModelUnsupported (a child is missing) and kModelMismatch (it does not take these inputs, or its
  // outputs are not (B,K,W) and (B,W)).
  PromptModule(const std::string& path, const at::Device& device, const Inputs& inputs);

  int64_t tokens() const { return tokens_; }  // K
  int64_t width() const { return width_; }    // W

  // maps: one (B,2,H,W) a level; shares (B,2,H,W), the locator's output; p (B,2) -> P (B,K,W)
  at::Tensor forgery(const c10::List<at::Tensor>& maps, const at::Tensor& shares, const at::Tensor& p) const;
  // g (B,D) -> V (B,W)
  at::Tensor visual(const at::Tensor& feature) const;

 private:
  Module prompt_learner_, visual_projection_;
  int64_t tokens_ = 0, width_ = 0;
};

}  // namespace kfd::engine
