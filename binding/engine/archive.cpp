#include "engine/archive.h"

#include <fstream>

#include "engine/errors.h"

namespace kfd::engine {
namespace {

Module read_archive(const std::string& path) {
  if (!std::ifstream(path, std::ios::binary).good()) {
    throw Error(ErrorCode::kModelLoad, "cannot read the model file " + path, "check the path and its permissions");
  }
  try {
    return torch::jit::load(path, c10::kCPU);
  } catch (...) {
    const Error error = current_error("torch refuses the model file " + path, ErrorCode::kModelLoad);
    throw Error(
        error.code(), error.what(),
        error.hint().empty() ? "expected a TorchScript archive (torch.jit.script(model).save(path))" : error.hint());
  }
}

void convert_to_float(const Module& module, const at::Device& device) {
  at::NoGradGuard no_grad;
  for (const c10::IValue& value : module.attributes()) {
    if (value.isTensor()) {
      at::Tensor tensor = value.toTensor();
      const auto type = at::isFloatingType(tensor.scalar_type()) ? at::kFloat : tensor.scalar_type();
      tensor.set_data(tensor.to(device, type));
    }
  }
}

}  // namespace

Module load_archive(const std::string& path, const at::Device& device) {
  Module module = read_archive(path);
  module.eval();
  convert_to_float(module, device);
  return module;
}

}  // namespace kfd::engine
