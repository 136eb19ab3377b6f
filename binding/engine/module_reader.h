// Reads a timm-named vision transformer out of a TorchScript module: tensors, numbers, recognised features, and what
// stands in the way of own block code. Computes nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/linear.h"
#include "engine/torch_api.h"

namespace kfd::engine {

using torch::jit::Module;

// ------------------------------------------------------------------------------------------------- module look-ups

// The child of this name, also when it is typed Optional; nothing when it is absent or None.
std::optional<Module> child(const Module& module, const std::string& name);
// The tensor attribute of this name; undefined when absent or None.
at::Tensor tensor_or_undefined(const Module& module, const std::string& name);
// Last part of the class name in Python, e.g. "LayerNorm".
std::string class_name(const Module& module);
// Identity, Dropout and DropPath: nothing at inference.
bool does_nothing(const Module& module);
// "a, b, c" of the children, or "none".
std::string list_children(const Module& module);
// An integer attribute, however it was exported.
std::optional<int64_t> integer(const Module& module, const std::string& name);

// ------------------------------------------------------------------------------------------------------- readings

struct NormReading {
  at::Tensor weight, bias;
  double eps = 0;
  bool present() const { return weight.defined(); }
};

struct LinearReading {
  std::optional<Module> module;  // so that the weight can be dropped once it is packed
  at::Tensor weight, bias;
};

struct BlockReading {
  Module module;
  NormReading norm1, norm2;
  LinearReading qkv, proj, fc1, fc2;
  NormReading q_norm, k_norm, attention_norm, mlp_norm;
  at::Tensor scale1, scale2;  // LayerScale gammas, undefined when absent
  bool scale1_known = true;   // false: `ls1` is there, but is no LayerScale
  int64_t heads = 0, head_width = 0;
  double attention_scale = 0;
  std::optional<Activation> activation;        // nothing: unknown, then `unknown` names it
  std::vector<std::string> unknown;            // children or tensors outside the known set, anywhere in the block
  std::vector<std::string> unknown_attention;  // those of norm1 and attn: without them the attention can be recomputed
};

struct VitReading {
  Module module;
  std::vector<BlockReading> blocks;
  int64_t width = 0, heads = 0;
  int64_t patch_height = 0, patch_width = 0;
  double layer_norm_eps = 0;
  std::optional<Activation> activation;
  std::vector<std::string> features;
};

// A LayerNorm child; not present where the child is absent or does nothing. Anything else that computes is added to
// `unknown`.
NormReading read_norm_child(const Module& parent, const std::string& prefix, const std::string& name,
                            const ModelOptions& options, std::vector<std::string>& unknown);
// A linear child; adds to `unknown` where it is missing or something else.
LinearReading read_linear(const Module& parent, const std::string& prefix, const std::string& name,
                          std::vector<std::string>& unknown);

std::string activation_name(Activation activation);

// Throws Error: kModelUnsupported (frozen, or children missing) or kModelMismatch (heads unknown or contradicted).
VitReading read_vit(const Module& module, const ModelOptions& options);

}  // namespace kfd::engine
