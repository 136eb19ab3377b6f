#include "engine/vit_plan.h"

#include <ATen/CPUGeneratorImpl.h>

#include <array>
#include <limits>

#include "engine/errors.h"

namespace kfd::engine {
namespace {

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

std::string scientific(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1e", value);
  return text.data();
}

// Output of the attention child alone by the weights that were read, to be compared with the child itself.
double attention_error(const BlockReading& block, const at::Tensor& x) {
  const ClassAttention attention(block, /*prepack=*/false, 0);
  const auto values = attention.project(x);
  at::Tensor mixed = at::scaled_dot_product_attention(values.q, values.k, values.v, {}, 0.0, false, attention.scale())
                         .transpose(1, 2)
                         .reshape({x.size(0), x.size(1), block.heads * block.head_width});
  if (block.attention_norm.present()) {
    const NormReading& norm = block.attention_norm;
    mixed = at::layer_norm(mixed, {mixed.size(-1)}, norm.weight, norm.bias, norm.eps);
  }
  const at::Tensor own = Linear(block.proj.weight, block.proj.bias, false, 0)(mixed);
  Module norm1 = *child(block.module, "norm1");
  Module attn = *child(block.module, "attn");
  return relative_error(own, attn.forward({norm1.forward({x})}).toTensor());
}

at::Tensor stem_tokens(const TokenStem& stem, const at::Tensor& image) {
  try {
    return stem(image);
  } catch (...) {
    const Error error = current_error("embedding an image");
    throw Error(error.code() == ErrorCode::kOutOfMemory ? error.code() : ErrorCode::kModelUnsupported, error.what(),
                "the embedding must give one tensor of tokens (rotary positions are not supported); check the input "
                "size, or load the model with plain_forward, without hooks");
  }
}

// Appends the output of each of the module's blocks. Blocks that need more than the tokens (rotary positions) throw.
void call_module_blocks(VitReading& reading, std::vector<at::Tensor>& block_inputs) {
  try {
    for (BlockReading& block : reading.blocks) {
      block_inputs.push_back(block.module.forward({block_inputs.back()}).toTensor());
    }
  } catch (...) {
    const Error error = current_error("calling the module's blocks one by one");
    throw Error(
        error.code() == ErrorCode::kOutOfMemory ? error.code() : ErrorCode::kModelUnsupported, error.what(),
        "only blocks that map tokens to tokens can be walked; load the model with plain_forward, without hooks");
  }
}

void drop_weight(const LinearReading& linear) {
  if (linear.module && linear.module->type()->hasAttribute("weight")) {
    Module module = *linear.module;
    module.setattr("weight", at::empty({0}, linear.weight.options()));
  }
}

}  // namespace

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) {
    return std::numeric_limits<double>::infinity();
  }
  const double difference = (actual - expected).abs().max().item<double>();
  const double largest = expected.abs().max().item<double>();
  return difference / std::max(largest, 1e-30);
}

at::Tensor verification_image(const InputSpec& input, const at::Device& device) {
  auto generator = at::detail::createCPUGenerator(/*seed=*/20250314);
  return at::randn({1, 3, input.height, input.width}, generator).to(device);
}

VitPlan::VitPlan(const Module& module, const ModelOptions& options, const at::Device& device, ModelInfo& info)
    : reading_(read_vit(module, options)) {
  stem_.emplace(reading_, options, reading_.features);
  head_.emplace(reading_, *stem_, reading_.features);
  for (const BlockReading& block : reading_.blocks) {
    attention_known_ = attention_known_ && block.unknown_attention.empty();
    contribution_defined_ = contribution_defined_ && !block.attention_norm.present() && block.scale1_known;
  }
  choose_blocks(options, device, info);

  info.depth = depth();
  info.width = reading_.width;
  info.heads = reading_.heads;
  info.patch = reading_.patch_height;
  info.prefix_tokens = stem_->prefix_tokens();
  info.grid_height = stem_->grid_height();
  info.grid_width = stem_->grid_width();
  info.layer_norm_eps = reading_.layer_norm_eps;
  info.activation = reading_.activation ? activation_name(*reading_.activation) : "unknown";
  info.features = reading_.features;
}

void VitPlan::choose_blocks(const ModelOptions& options, const at::Device& device, ModelInfo& info) {
  // What each block of the module receives, and last what the final one returns.
  std::vector<at::Tensor> block_inputs{stem_tokens(*stem_, verification_image(options.input, device))};
  if (block_inputs[0].dim() != 3 || block_inputs[0].size(1) != stem_->tokens()) {
    throw Error(ErrorCode::kModelUnsupported,
                "the embedding gives a tensor of sizes " + c10::str(block_inputs[0].sizes()) + " where (1, " +
                    std::to_string(stem_->tokens()) + ", " + std::to_string(reading_.width) + ") was expected",
                "check the model's input size and that it is a plain vision transformer");
  }
  call_module_blocks(reading_, block_inputs);

  for (size_t i = 0; i < reading_.blocks.size(); ++i) {
    if (!reading_.blocks[i].unknown.empty()) {
      info.warnings.push_back("block " + std::to_string(i) + " has children that are not known: " +
                              join(reading_.blocks[i].unknown) + "; the module's own blocks are called instead");
      use_black_boxes(block_inputs, info);
      return;
    }
  }
  if (!options.disable_prepack && prepacked_linear_available(device) && try_own_blocks(true, block_inputs, info)) {
    info.execution = "own-blocks-prepacked";
  } else if (try_own_blocks(false, block_inputs, info)) {
    info.execution = "own-blocks";
  } else {
    use_black_boxes(block_inputs, info);
  }
}

bool VitPlan::try_own_blocks(bool prepack, const std::vector<at::Tensor>& block_inputs, ModelInfo& info) {
  const std::string what = prepack ? "own block code on prepacked linears" : "own block code";
  std::vector<std::unique_ptr<Block>> blocks;
  double worst = 0;
  try {
    for (size_t i = 0; i < reading_.blocks.size(); ++i) {
      blocks.push_back(make_own_block(reading_.blocks[i], prepack, stem_->tokens()));
      BlockAnswer unused;
      const at::Tensor own = blocks.back()->forward(block_inputs[i], {}, unused);
      worst = std::max(worst, relative_error(own, block_inputs[i + 1]));
    }
  } catch (...) {
    const Error error = current_error(what);
    if (error.code() == ErrorCode::kOutOfMemory) {
      throw error;
    }
    info.warnings.push_back(std::string("not used: ") + error.what());
    return false;
  }
  // written so that NaN fails too
  if (!(worst <= kVerificationTolerance)) {
    info.warnings.push_back("not used: " + what + " differs from the module's blocks by " + scientific(worst) +
                            " (relative; at most " + scientific(kVerificationTolerance) + " is accepted)");
    return false;
  }
  info.verification_error = worst;
  blocks_ = std::move(blocks);
  own_blocks_ = true;
  return true;
}

void VitPlan::use_black_boxes(const std::vector<at::Tensor>& block_inputs, ModelInfo& info) {
  info.execution = "black-box-blocks";
  if (attention_known_) {
    double worst = 0;
    try {
      for (size_t i = 0; i < reading_.blocks.size(); ++i) {
        worst = std::max(worst, attention_error(reading_.blocks[i], block_inputs[i]));
      }
    } catch (...) {
      info.warnings.emplace_back(current_error("attention recomputed for a check").what());
      worst = std::numeric_limits<double>::infinity();
    }
    attention_known_ = worst <= kVerificationTolerance;
    info.verification_error = attention_known_ ? worst : 0;
    info.warnings.push_back(attention_known_
                                ? std::string("class attention is recomputed from norm1 and attn.qkv of each block")
                                : "attention recomputed from norm1 and attn.qkv differs from attn by " +
                                      scientific(worst) + ": attention hooks are refused");
  } else {
    info.warnings.emplace_back("the attention is not known: attention hooks are refused");
  }
  blocks_.clear();
  for (const BlockReading& block : reading_.blocks) {
    blocks_.push_back(make_black_box_block(block));
  }
}

void VitPlan::drop_module_weights() {
  if (!own_blocks_) {
    return;
  }
  for (BlockReading& block : reading_.blocks) {
    for (LinearReading* linear : {&block.qkv, &block.proj, &block.fc1, &block.fc2}) {
      drop_weight(*linear);
    }
  }
  reading_.blocks.clear();
}

}  // namespace kfd::engine
