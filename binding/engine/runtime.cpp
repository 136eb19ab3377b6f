#include <malloc.h>

#include <climits>

#include "engine/engine.h"
#include "engine/linear.h"

namespace kfd::engine {

RuntimeInfo runtime_info() {
  RuntimeInfo info;
  info.torch_version = TORCH_VERSION;
  info.cpu_capability = at::get_cpu_capability();
  info.has_prepacked_linear = prepacked_linear_available(at::Device(at::kCPU));
  info.cuda_available = torch::cuda::is_available();
  info.cuda_devices = info.cuda_available ? static_cast<int64_t>(torch::cuda::device_count()) : 0;
  return info;
}

bool keep_large_allocations() {
#if defined(__GLIBC__)
  return mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1 && mallopt(M_TRIM_THRESHOLD, INT_MAX) == 1;
#else
  return false;
#endif
}

}  // namespace kfd::engine
