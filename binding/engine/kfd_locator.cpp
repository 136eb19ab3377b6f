#include "engine/kfd_locator.h"

namespace kfd::engine {
namespace {

// The child of this name and class, nothing otherwise.
std::optional<Module> child_of_class(const Module& parent, const std::string& name, const std::string& wanted) {
  auto found = child(parent, name);
  return found && class_name(*found) == wanted ? found : std::nullopt;
}

at::Tensor channels_last(const at::Tensor& weight) { return weight.contiguous(at::MemoryFormat::ChannelsLast); }

bool is_kernel(const at::Tensor& weight, int64_t in, int64_t out) {
  return weight.defined() && weight.sizes() == at::IntArrayRef({out, in, 3, 3});
}

}  // namespace

std::unique_ptr<KfdLocator> KfdLocator::read(const Module& module, size_t levels) {
  const auto convolutions = child(module, "conv");
  const auto norms = child(module, "batchnorm");
  const auto last = child_of_class(module, "finalconv", "Conv2d");
  if (!convolutions || !norms || !last) {
    return nullptr;
  }
  auto locator = std::make_unique<KfdLocator>();
  const at::Tensor kernel = tensor_or_undefined(*last, "weight");
  locator->bias_ = tensor_or_undefined(*last, "bias");
  const auto count = static_cast<int64_t>(levels);
  if (!kernel.defined() || kernel.dim() != 4 || !locator->bias_.defined()) {
    return nullptr;
  }
  const int64_t channels = kernel.size(1) / count;
  if (!is_kernel(kernel, count * channels, 2)) {
    return nullptr;
  }
  for (int64_t i = 0; i < count; ++i) {
    const auto convolution = child_of_class(*convolutions, std::to_string(i), "Conv2d");
    const auto norm = child_of_class(*norms, std::to_string(i), "BatchNorm2d");
    if (!convolution || !norm || !norm->hasattr("eps")) {
      return nullptr;
    }
    const at::Tensor weight = tensor_or_undefined(*convolution, "weight");
    const at::Tensor gamma = tensor_or_undefined(*norm, "weight");
    const at::Tensor variance = tensor_or_undefined(*norm, "running_var");
    if (!is_kernel(weight, 2, channels) || !gamma.defined() || !variance.defined()) {
      return nullptr;
    }
    // norm(x) = scale * x + shift; the last convolution of it = (mixing * scale) x + the sum of mixing * shift
    const at::Tensor scale = gamma / at::sqrt(variance + norm->attr("eps").toDouble());
    const at::Tensor shift = tensor_or_undefined(*norm, "bias") - tensor_or_undefined(*norm, "running_mean") * scale;
    const at::Tensor mixing = kernel.slice(1, i * channels, (i + 1) * channels);
    locator->bias_ = locator->bias_ + (mixing * shift.view({1, -1, 1, 1})).sum({1, 2, 3});
    locator->levels_.push_back({channels_last(weight), tensor_or_undefined(*convolution, "bias"),
                                channels_last(mixing * scale.view({1, -1, 1, 1}))});
  }
  return locator;
}

at::Tensor KfdLocator::operator()(const std::vector<at::Tensor>& maps) const {
  at::Tensor logits;
  for (size_t i = 0; i < levels_.size(); ++i) {
    const Level& level = levels_[i];
    const at::Tensor features = at::conv2d(maps[i], level.weight, level.bias, /*stride=*/1, /*padding=*/2).relu_();
    const at::Tensor part = at::conv2d(features, level.mixing, i == 0 ? bias_ : at::Tensor());
    logits = logits.defined() ? logits + part : part;
  }
  return at::softmax(logits, 1);
}

}  // namespace kfd::engine
