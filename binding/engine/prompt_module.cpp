#include "engine/prompt_module.h"

#include <ATen/CPUGeneratorImpl.h>

#include "engine/archive.h"
#include "engine/errors.h"

namespace kfd::engine {
namespace {

constexpr const char* kHint = "take the prompts file that was trained for this detector";

Module required_child(const Module& module, const std::string& name, const std::string& path) {
  const auto found = child(module, name);
  if (!found) {
    throw Error(ErrorCode::kModelUnsupported,
                path + ": a prompts file needs the child `" + name + "`; children found: " + list_children(module),
                "export prompt_learner and visual_projection as children of one module, scripted and not frozen");
  }
  return *found;
}

// Runs one child at load; what torch refuses there is a file of another detector.
template <class Run>
at::Tensor tried(const std::string& what, const Run& run) {
  try {
    return run();
  } catch (...) {
    const Error error = current_error(what, ErrorCode::kModelMismatch);
    throw Error(error.code(), error.what(), error.hint().empty() ? kHint : error.hint());
  }
}

}  // namespace

PromptModule::PromptModule(const std::string& path, const at::Device& device, const Inputs& inputs) {
  const Module module = load_archive(path, device);
  prompt_learner_ = required_child(module, "prompt_learner", path);
  visual_projection_ = required_child(module, "visual_projection", path);

  auto generator = at::detail::createCPUGenerator(/*seed=*/11);
  const auto random = [&](at::IntArrayRef sizes) { return at::rand(sizes, generator).to(device); };
  const int64_t images = 2;  // so that a module which takes single images only is found out
  c10::List<at::Tensor> maps;
  for (size_t i = 0; i < inputs.levels; ++i) {
    maps.push_back(random({images, 2, inputs.height, inputs.width}));
  }
  const at::Tensor prompts =
      tried(path + ": prompt_learner does not take this detector's " + std::to_string(inputs.levels) + " levels",
            [&] { return forgery(maps, random({images, 2, inputs.height, inputs.width}), random({images, 2})); });
  const at::Tensor projected = tried(path + ": visual_projection does not take this detector's feature of width " +
                                         std::to_string(inputs.feature_width),
                                     [&] { return visual(random({images, inputs.feature_width})); });
  if (prompts.dim() != 3 || prompts.size(0) != images || prompts.size(1) < 1 || prompts.size(2) < 1 ||
      projected.sizes() != at::IntArrayRef({images, prompts.size(2)})) {
    throw Error(ErrorCode::kModelMismatch,
                c10::str(path, ": expected prompts of sizes (B, K, W) and a projection of sizes (B, W), received ",
                         prompts.sizes(), " and ", projected.sizes(), " for B = ", images),
                kHint);
  }
  tokens_ = prompts.size(1);
  width_ = prompts.size(2);
}

at::Tensor PromptModule::forgery(const c10::List<at::Tensor>& maps, const at::Tensor& shares,
                                 const at::Tensor& p) const {
  Module prompt_learner = prompt_learner_;
  return prompt_learner.forward({maps, shares, p}).toTensor();
}

at::Tensor PromptModule::visual(const at::Tensor& feature) const {
  Module visual_projection = visual_projection_;
  return visual_projection.forward({feature}).toTensor();
}

}  // namespace kfd::engine
