#include "engine/linear.h"

#include <optional>
#include <string_view>

namespace kfd::engine {
namespace {

using ReorderWeight = at::Tensor(const at::Tensor&, std::optional<int64_t>);
using NoScalars = c10::List<std::optional<at::Scalar>>;
using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                   std::string_view, NoScalars, std::optional<std::string_view>);
using LinearBinary = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                const std::optional<at::Tensor>&, std::string_view);

template <typename Signature>
c10::TypedOperatorHandle<Signature> find(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

// Typed handles are looked up once; they are trivially destructible.
const auto& reorder_weight() {
  static const auto handle = find<ReorderWeight>("mkldnn::_reorder_linear_weight", "");
  return handle;
}
const auto& linear_pointwise() {
  static const auto handle = find<LinearPointwise>("mkldnn::_linear_pointwise", "");
  return handle;
}
const auto& linear_binary() {
  static const auto handle = find<LinearBinary>("mkldnn::_linear_pointwise", "binary");
  return handle;
}

std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
}

}  // namespace

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return at::gelu(x, "none");
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kQuickGelu:
      return x * at::sigmoid(x * 1.702);
  }
  return x;
}

bool prepacked_linear_available(const at::Device& device) {
  if (!device.is_cpu() || !at::hasMKLDNN() || !at::globalContext().userEnabledMkldnn()) {
    return false;
  }
  auto& dispatcher = c10::Dispatcher::singleton();
  return dispatcher.findSchema({"mkldnn::_reorder_linear_weight", ""}).has_value() &&
         dispatcher.findSchema({"mkldnn::_linear_pointwise", ""}).has_value() &&
         dispatcher.findSchema({"mkldnn::_linear_pointwise", "binary"}).has_value();
}

Linear::Linear(at::Tensor weight, at::Tensor bias, bool prepack, int64_t rows)
    : weight_(std::move(weight)), bias_(std::move(bias)), prepacked_(prepack) {
  if (prepacked_) {
    weight_ = reorder_weight().call(weight_.contiguous(), rows);
  }
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (!prepacked_) {
    return at::linear(x, weight_, optional(bias_));
  }
  return linear_pointwise().call(x, weight_, optional(bias_), "none", NoScalars(), "");
}

at::Tensor Linear::activated(const at::Tensor& x, Activation activation) const {
  if (!prepacked_ || activation == Activation::kQuickGelu) {
    return activate((*this)(x), activation);
  }
  const std::string_view algorithm = activation == Activation::kGelu ? "none" : "tanh";
  return linear_pointwise().call(x, weight_, optional(bias_), "gelu", NoScalars(), algorithm);
}

at::Tensor Linear::added_to(const at::Tensor& residual, const at::Tensor& x) const {
  if (!prepacked_) {
    return residual + (*this)(x);
  }
  // oneDNN's sum reads the residual as a dense row-major tensor.
  return linear_binary().call(x, residual.contiguous(), weight_, optional(bias_), "add");
}

}  // namespace kfd::engine
