#include "engine/kfd_heads.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

namespace kfd::engine {
namespace {

Module required_child(const Module& module, const std::string& name) {
  const auto found = child(module, name);
  if (!found) {
    throw Error(ErrorCode::kModelUnsupported,
                "a KFD module needs the child `" + name + "`; children found: " + list_children(module),
                "export encoder, adapters, locator and classifier as children and class_embeddings as a buffer, "
                "scripted and not frozen");
  }
  return *found;
}

std::vector<int64_t> read_taps(const Module& module, const ModelOptions& options) {
  const c10::IValue value = module.attr("taps", c10::IValue());
  std::vector<int64_t> taps = options.taps;
  if (value.isIntList()) {
    taps = value.toIntVector();
    if (!options.taps.empty() && options.taps != taps) {
      throw Error(ErrorCode::kModelMismatch, "the sidecar's vit.taps differ from the module's `taps`",
                  "correct or remove vit.taps");
    }
  }
  return taps;
}

c10::List<at::Tensor> maps_of(const std::vector<KfdHeads::Level>& levels) {
  c10::List<at::Tensor> maps;
  for (const KfdHeads::Level& level : levels) {
    maps.push_back(level.maps);
  }
  return maps;
}

std::string numbered(char letter, size_t number) { return letter + std::to_string(number); }

}  // namespace

at::Tensor unit_feature(const at::Tensor& output) {
  return output / output.norm(2, -1, /*keepdim=*/true).clamp_min(1e-12);
}

KfdHeads::KfdHeads(const Module& module, const ModelOptions& options, int64_t depth, int64_t width)
    : taps_(read_taps(module, options)),
      logit_scale_(options.logit_scale),
      class_embeddings_(tensor_or_undefined(module, "class_embeddings")),
      locator_(required_child(module, "locator")),
      classifier_(required_child(module, "classifier")),
      prompt_learner_(child(module, "prompt_learner")) {
  const auto adapters = required_child(module, "adapters").named_children();
  if (taps_.empty() || taps_.size() != adapters.size()) {
    throw Error(ErrorCode::kModelMismatch,
                "the module has " + std::to_string(adapters.size()) + " adapters and " + std::to_string(taps_.size()) +
                    " taps; one block index a adapter is expected",
                "give vit.taps in the model's sidecar (NAME.kfd.json), one 0-based block index for each adapter");
  }
  if (!std::is_sorted(taps_.begin(), taps_.end()) || taps_.front() < 0 || taps_.back() >= depth) {
    throw Error(ErrorCode::kModelMismatch, "taps must rise and lie between 0 and " + std::to_string(depth - 1),
                "correct vit.taps");
  }
  if (const c10::IValue scale = module.attr("logit_scale", c10::IValue()); scale.isDouble()) {
    logit_scale_ = scale.toDouble();
  }
  for (const auto& adapter : adapters) {
    const at::Tensor weight = tensor_or_undefined(adapter.value, "weight");
    if (!weight.defined() || weight.dim() != 2 || weight.size(1) != width) {
      throw Error(ErrorCode::kModelMismatch,
                  "adapters." + adapter.name + " is not a linear layer from width " + std::to_string(width));
    }
    adapters_.emplace_back(weight, tensor_or_undefined(adapter.value, "bias"), /*prepack=*/false, 0);
    if (!class_embeddings_.defined() || class_embeddings_.dim() != 2 || class_embeddings_.size(0) != 2 ||
        class_embeddings_.size(1) != weight.size(0)) {
      throw Error(ErrorCode::kModelMismatch, "`class_embeddings` must be a tensor of sizes (2, " +
                                                 std::to_string(weight.size(0)) + "): row 0 pristine, row 1 deepfake");
    }
  }
}

at::Tensor KfdHeads::cosine(const at::Tensor& features) const {
  // as torch.nn.functional.normalize: norms below 1e-12 count as 1e-12
  const at::Tensor unit = features / features.norm(2, -1, /*keepdim=*/true).clamp_min(1e-12);
  return at::matmul(unit, class_embeddings_.t());
}

KfdHeads::Level KfdHeads::level(size_t level, const at::Tensor& tokens, int64_t prefix_tokens, int64_t grid_height,
                                int64_t grid_width, int64_t height, int64_t width) const {
  const at::Tensor features = adapt(level, tokens.slice(1, prefix_tokens));
  const at::Tensor grid =
      (cosine(features) * logit_scale_).transpose(1, 2).reshape({tokens.size(0), 2, grid_height, grid_width});
  // The heads' convolutions with few channels run 1.4 (locator) to 2 times (classifier) as fast on this layout.
  return {features, at::upsample_bilinear2d(grid, {height, width}, /*align_corners=*/true)
                        .contiguous(at::MemoryFormat::ChannelsLast)};
}

void KfdHeads::choose_locator(const at::Device& device, ModelInfo& info) {
  auto own = KfdLocator::read(locator_, taps_.size());
  if (!own) {
    return;
  }
  auto generator = at::detail::createCPUGenerator(/*seed=*/7);
  c10::List<at::Tensor> maps;
  for (size_t i = 0; i < taps_.size(); ++i) {
    maps.push_back(at::randn({1, 2, info.input_height, info.input_width}, generator).to(device));
  }
  const at::Tensor expected = locate(maps);
  const at::Tensor actual = (*own)(maps.vec());
  if (actual.sizes() != expected.sizes() || !((actual - expected).abs().max().item<double>() <= 1e-5)) {
    info.warnings.emplace_back("not used: own locator code differs from the module's locator");
    return;
  }
  own_locator_ = std::move(own);
  info.features.emplace_back("own-locator");
}

at::Tensor KfdHeads::locate(const c10::List<at::Tensor>& maps) const {
  if (own_locator_) {
    return (*own_locator_)(maps.vec());
  }
  Module locator = locator_;
  return locator.forward({maps}).toTensor();
}

at::Tensor KfdHeads::classify(const std::vector<Level>& levels) const {
  Module classifier = classifier_;
  return classifier.forward({maps_of(levels)}).toTensor();
}

NamedTensors KfdHeads::outputs(const std::vector<Level>& levels, const Extras& extras,
                               const PromptModule* prompts) const {
  const c10::List<at::Tensor> maps = maps_of(levels);
  const at::Tensor shares = locate(maps);  // (B,2,H,W), softmax over the classes
  const at::Tensor p = classify(levels);
  NamedTensors outputs{{"p", p}, {"map", shares.select(1, 1)}};
  if (extras.any() && prompts != nullptr) {
    outputs.push_back({"P", prompts->forgery(maps, shares, p)});
  }
  if (!extras.intermediates) {
    return outputs;
  }
  outputs.push_back({"S", shares});
  for (size_t i = 0; i < levels.size(); ++i) {
    outputs.push_back({numbered('F', i), levels[i].features});
  }
  outputs.push_back({"E", class_embeddings_, -1});
  for (size_t i = 0; i < levels.size(); ++i) {
    outputs.push_back({numbered('M', i), levels[i].maps});
  }
  if (prompt_learner_ && prompts == nullptr) {
    Module prompt_learner = *prompt_learner_;
    outputs.push_back({"P", prompt_learner.forward({maps, shares, p}).toTensor()});
  }
  return outputs;
}

}  // namespace kfd::engine
