#include "engine/module_reader.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace kfd::engine {
namespace {

using Names = std::set<std::string>;

constexpr const char* kSaveUnfrozen =
    "save the scripted module unfrozen (torch.jit.script(model).save(path)), or freeze it with "
    "torch.jit.freeze(m, preserved_attrs=[\"blocks\", \"patch_embed\", \"norm\", \"head\", \"cls_token\", "
    "\"pos_embed\"])";

// A number that tracing has turned into a constant of the graph: the `input`-th argument of the first `op` node.
std::optional<c10::IValue> graph_constant(const Module& module, const char* op, size_t input) {
  const auto method = module.find_method("forward");
  if (!method) {
    return std::nullopt;
  }
  for (torch::jit::Node* node : method->graph()->nodes()) {
    if (node->kind() == c10::Symbol::fromQualString(op) && input < node->inputs().size()) {
      return torch::jit::toIValue(node->input(input));
    }
  }
  return std::nullopt;
}

NormReading read_layer_norm(const Module& norm, const ModelOptions& options) {
  NormReading reading{tensor_or_undefined(norm, "weight"), tensor_or_undefined(norm, "bias"), 0};
  if (norm.hasattr("eps")) {
    reading.eps = norm.attr("eps").toDouble();
  } else if (const auto eps = graph_constant(norm, "aten::layer_norm", 4); eps && eps->isDouble()) {
    reading.eps = eps->toDouble();
  } else {
    reading.eps = options.layer_norm_eps;
  }
  return reading;
}

// Children and tensors of `module` that are not in `known`; children that do nothing are left out.
void collect_unknown(const Module& module, const std::string& prefix, const Names& known,
                     std::vector<std::string>& unknown) {
  for (const auto& entry : module.named_children()) {
    if (!known.contains(entry.name) && !does_nothing(entry.value)) {
      unknown.push_back(prefix + entry.name + " (" + class_name(entry.value) + ")");
    }
  }
  for (const auto& entry : module.named_attributes(/*recurse=*/false)) {
    if (entry.value.isTensor() && !known.contains(entry.name)) {
      unknown.push_back(prefix + entry.name + " (tensor)");
    }
  }
}

at::Tensor read_layer_scale(const Module& block, const std::string& name, std::vector<std::string>& unknown) {
  const auto scale = child(block, name);
  if (!scale || does_nothing(*scale)) {
    return {};
  }
  at::Tensor gamma = tensor_or_undefined(*scale, "gamma");
  if (!gamma.defined()) {
    unknown.push_back(name + " (" + class_name(*scale) + ")");
  }
  return gamma;
}

std::optional<Activation> activation_by_name(const std::string& name) {
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_tanh") return Activation::kGeluTanh;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  return std::nullopt;
}

// From the module `mlp.act` where it says, else from the sidecar, else exact GELU (the check at load guards it).
std::optional<Activation> read_activation(const Module& mlp, const ModelOptions& options) {
  std::optional<Activation> given;
  if (!options.activation.empty()) {
    given = activation_by_name(options.activation);
    if (!given) {
      throw Error(ErrorCode::kModelMismatch, "activation \"" + options.activation + "\" is not known",
                  "use \"gelu\", \"gelu_tanh\" or \"quick_gelu\"");
    }
  }
  std::optional<Activation> found;
  const auto act = child(mlp, "act");
  if (act) {
    const std::string name = class_name(*act);
    if (name == "QuickGELU" || name == "QuickGELUActivation") {
      found = Activation::kQuickGelu;
    } else if (name == "GELUTanh") {
      found = Activation::kGeluTanh;
    } else if (name == "GELU") {
      std::string approximate = "none";
      if (act->hasattr("approximate")) {
        approximate = act->attr("approximate").toStringRef();
      } else if (const auto value = graph_constant(*act, "aten::gelu", 1); value && value->isString()) {
        approximate = value->toStringRef();
      }
      found = approximate == "tanh" ? Activation::kGeluTanh : Activation::kGelu;
    } else {
      return std::nullopt;
    }
  }
  if (given && found && *given != *found) {
    throw Error(
        ErrorCode::kModelMismatch,
        "the sidecar says vit.activation \"" + options.activation + "\", the module has " + activation_name(*found),
        "correct or remove vit.activation");
  }
  return found ? found : given ? given : Activation::kGelu;
}

void read_heads(const Module& attention, const ModelOptions& options, BlockReading& block) {
  const auto in_module = integer(attention, "num_heads");
  const auto out_rows = block.qkv.weight.size(0);
  if (!in_module && options.heads == 0) {
    throw Error(ErrorCode::kModelMismatch,
                "the number of attention heads is unknown: a traced module does not keep `num_heads`",
                "give the field vit.heads in the model's sidecar (NAME.kfd.json), or save a scripted module");
  }
  block.heads = in_module.value_or(options.heads);
  if (in_module && options.heads != 0 && options.heads != *in_module) {
    throw Error(ErrorCode::kModelMismatch,
                "the sidecar says vit.heads " + std::to_string(options.heads) + ", the module has " +
                    std::to_string(*in_module),
                "correct or remove vit.heads");
  }
  if (block.heads <= 0 || out_rows % (3 * block.heads) != 0) {
    throw Error(ErrorCode::kModelMismatch,
                "vit.heads " + std::to_string(block.heads) + " does not divide the attention width " +
                    std::to_string(out_rows / 3),
                "correct the field vit.heads in the model's sidecar (NAME.kfd.json)");
  }
  block.head_width = out_rows / (3 * block.heads);
  block.attention_scale = 1.0 / std::sqrt(static_cast<double>(block.head_width));
  if (attention.hasattr("scale") && attention.attr("scale").isDouble()) {
    block.attention_scale = attention.attr("scale").toDouble();
  }
}

BlockReading read_block(const Module& module, const ModelOptions& options) {
  BlockReading block;
  block.module = module;
  auto& in_attention = block.unknown_attention;
  auto& elsewhere = block.unknown;

  block.norm1 = read_norm_child(module, "", "norm1", options, in_attention);
  if (!block.norm1.present() && in_attention.empty()) {
    in_attention.emplace_back("norm1 (missing)");
  }
  if (const auto attention = child(module, "attn")) {
    collect_unknown(*attention, "attn.", {"qkv", "proj", "q_norm", "k_norm", "norm"}, in_attention);
    block.qkv = read_linear(*attention, "attn.", "qkv", in_attention);
    block.proj = read_linear(*attention, "attn.", "proj", in_attention);
    block.q_norm = read_norm_child(*attention, "attn.", "q_norm", options, in_attention);
    block.k_norm = read_norm_child(*attention, "attn.", "k_norm", options, in_attention);
    block.attention_norm = read_norm_child(*attention, "attn.", "norm", options, in_attention);
    if (in_attention.empty()) {
      read_heads(*attention, options, block);
    }
  } else {
    in_attention.emplace_back("attn (missing)");
  }

  collect_unknown(module, "", {"norm1", "attn", "ls1", "norm2", "mlp", "ls2"}, elsewhere);
  const size_t before = elsewhere.size();
  block.scale1 = read_layer_scale(module, "ls1", elsewhere);
  block.scale1_known = elsewhere.size() == before;
  block.scale2 = read_layer_scale(module, "ls2", elsewhere);
  block.norm2 = read_norm_child(module, "", "norm2", options, elsewhere);
  if (!block.norm2.present() && elsewhere.empty()) {
    elsewhere.emplace_back("norm2 (missing)");
  }
  if (const auto mlp = child(module, "mlp")) {
    collect_unknown(*mlp, "mlp.", {"fc1", "act", "norm", "fc2"}, elsewhere);
    block.fc1 = read_linear(*mlp, "mlp.", "fc1", elsewhere);
    block.fc2 = read_linear(*mlp, "mlp.", "fc2", elsewhere);
    block.mlp_norm = read_norm_child(*mlp, "mlp.", "norm", options, elsewhere);
    block.activation = read_activation(*mlp, options);
    if (!block.activation) {
      elsewhere.push_back("mlp.act (" + class_name(*child(*mlp, "act")) + ")");
    }
  } else {
    elsewhere.emplace_back("mlp (missing)");
  }
  elsewhere.insert(elsewhere.end(), in_attention.begin(), in_attention.end());
  return block;
}

void require_children(const Module& module) {
  const auto blocks = child(module, "blocks");
  if (!blocks && module.named_children().size() == 0) {
    throw Error(ErrorCode::kModelUnsupported,
                "the module has no children: it is frozen, its weights are constants of one graph, and its blocks "
                "cannot be walked",
                kSaveUnfrozen);
  }
  std::string missing;
  for (const char* name : {"patch_embed", "blocks", "norm"}) {
    if (!child(module, name)) {
      missing += std::string(missing.empty() ? "" : ", ") + name;
    }
  }
  if (!missing.empty()) {
    throw Error(ErrorCode::kModelUnsupported,
                "expected a vision transformer in timm naming, but " + missing +
                    (missing.find(',') == std::string::npos ? " is" : " are") +
                    " missing; children found: " + list_children(module),
                std::string("rename the children as timm does; if the file was frozen, ") + kSaveUnfrozen);
  }
  if (blocks->named_children().size() == 0) {
    throw Error(ErrorCode::kModelUnsupported, "`blocks` has no children", kSaveUnfrozen);
  }
}

void add_block_features(const BlockReading& block, std::vector<std::string>& features) {
  if (block.scale1.defined() || block.scale2.defined()) features.emplace_back("layer-scale");
  if (block.q_norm.present() || block.k_norm.present()) features.emplace_back("qk-norm");
  if (block.attention_norm.present()) features.emplace_back("attn-norm");
  if (block.mlp_norm.present()) features.emplace_back("mlp-norm");
}

}  // namespace

NormReading read_norm_child(const Module& parent, const std::string& prefix, const std::string& name,
                            const ModelOptions& options, std::vector<std::string>& unknown) {
  const auto norm = child(parent, name);
  if (!norm || does_nothing(*norm)) {
    return {};
  }
  NormReading reading;
  if (class_name(*norm).find("LayerNorm") != std::string::npos) {
    reading = read_layer_norm(*norm, options);
  }
  if (!reading.present() || reading.eps <= 0) {
    unknown.push_back(prefix + name + " (" + class_name(*norm) + ")");
    return {};
  }
  return reading;
}

LinearReading read_linear(const Module& parent, const std::string& prefix, const std::string& name,
                          std::vector<std::string>& unknown) {
  LinearReading reading;
  reading.module = child(parent, name);
  if (!reading.module) {
    unknown.push_back(prefix + name + " (missing)");
    return reading;
  }
  const size_t before = unknown.size();
  collect_unknown(*reading.module, prefix + name + ".", {"weight", "bias"}, unknown);
  reading.weight = tensor_or_undefined(*reading.module, "weight");
  reading.bias = tensor_or_undefined(*reading.module, "bias");
  if (unknown.size() == before && (!reading.weight.defined() || reading.weight.dim() != 2)) {
    unknown.push_back(prefix + name + " (" + class_name(*reading.module) + " without a 2-d weight)");
  }
  return reading;
}

std::optional<Module> child(const Module& module, const std::string& name) {
  if (!module.hasattr(name)) {
    return std::nullopt;
  }
  const c10::IValue value = module.attr(name);
  return value.isModule() ? std::optional<Module>(value.toModule()) : std::nullopt;
}

at::Tensor tensor_or_undefined(const Module& module, const std::string& name) {
  const c10::IValue value = module.attr(name, c10::IValue());
  return value.isTensor() ? value.toTensor().detach() : at::Tensor();
}

std::string class_name(const Module& module) {
  const auto name = module.type()->name();
  return name ? name->name() : "unnamed";
}

bool does_nothing(const Module& module) {
  const std::string name = class_name(module);
  return name == "Identity" || name == "Dropout" || name == "DropPath" || name == "PatchDropout";
}

std::string list_children(const Module& module) {
  std::string list;
  for (const auto& entry : module.named_children()) {
    list += (list.empty() ? "" : ", ") + entry.name;
  }
  return list.empty() ? "none" : list;
}

std::optional<int64_t> integer(const Module& module, const std::string& name) {
  const c10::IValue value = module.attr(name, c10::IValue());
  return value.isInt() ? std::optional<int64_t>(value.toInt()) : std::nullopt;
}

std::string activation_name(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_tanh";
    case Activation::kQuickGelu:
      return "quick_gelu";
  }
  return "unknown";
}

VitReading read_vit(const Module& module, const ModelOptions& options) {
  require_children(module);
  VitReading reading;
  reading.module = module;

  const auto projection = child(*child(module, "patch_embed"), "proj");
  const at::Tensor kernel = projection ? tensor_or_undefined(*projection, "weight") : at::Tensor();
  if (!kernel.defined() || kernel.dim() != 4 || kernel.size(1) != 3) {
    throw Error(ErrorCode::kModelUnsupported, "patch_embed.proj is not a convolution over three channels",
                "only patch embeddings by one convolution of stride = kernel are supported");
  }
  reading.width = kernel.size(0);
  reading.patch_height = kernel.size(2);
  reading.patch_width = kernel.size(3);

  // Definition order; names are "0", "1", ... for ModuleList and Sequential alike.
  for (const auto& entry : child(module, "blocks")->named_children()) {
    reading.blocks.push_back(read_block(entry.value, options));
  }
  const BlockReading& first = reading.blocks.front();
  reading.heads = first.heads;
  reading.layer_norm_eps = first.norm1.eps;
  reading.activation = first.activation;
  if (options.layer_norm_eps > 0 && first.norm1.present() &&
      std::abs(options.layer_norm_eps - first.norm1.eps) > 1e-3 * first.norm1.eps) {
    throw Error(ErrorCode::kModelMismatch, "the sidecar's vit.layerNormEps differs from the module's",
                "correct or remove vit.layerNormEps");
  }
  add_block_features(first, reading.features);
  return reading;
}

}  // namespace kfd::engine
