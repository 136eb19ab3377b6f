// The torch headers, in one place so that they can be precompiled. Nothing of CUDA: device-generic calls only.
#pragma once

#if __cplusplus < 202002L
#error "kfd-native needs C++20 (-std=c++20)"
#endif

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/cuda.h>
#include <torch/script.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR != 2 || TORCH_VERSION_MINOR < 11
#error "kfd-native needs torch 2.11 or later: point CMAKE_PREFIX_PATH at another libtorch"
#endif
