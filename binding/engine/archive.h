// TorchScript archives as they lie on the disk.
#pragma once

#include <string>

#include "engine/module_reader.h"

namespace kfd::engine {

// Loads an archive onto `device`, in eval mode. Files are stored in half precision: floating-point tensors become
// float32, counters and masks stay what they are. Throws kModelLoad.
Module load_archive(const std::string& path, const at::Device& device);

}  // namespace kfd::engine
