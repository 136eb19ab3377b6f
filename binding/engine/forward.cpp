#include "engine/forward.h"

#include <algorithm>
#include <cstring>

namespace kfd::engine {
namespace {

// Outputs of a module of any kind: one tensor, or a tuple or list of tensors.
std::vector<at::Tensor> output_tensors(const c10::IValue& value) {
  if (value.isTensor()) {
    return {value.toTensor()};
  }
  if (value.isTensorList()) {
    return value.toTensorVector();
  }
  std::vector<at::Tensor> tensors;
  if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) {
      if (!element.isTensor()) {
        tensors.clear();
        break;
      }
      tensors.push_back(element.toTensor());
    }
  }
  if (tensors.empty()) {
    throw Error(ErrorCode::kModelUnsupported,
                "the module returns " + value.tagKind() + " where a tensor or a tuple of tensors was expected");
  }
  return tensors;
}

at::Tensor contiguous_directions(const std::vector<float>& direction, int64_t depth, int64_t width) {
  const auto rows = static_cast<int64_t>(direction.size()) / width;
  return at::tensor(at::ArrayRef<float>(direction)).view({rows, width}).expand({depth, width});
}

}  // namespace

Forward::Forward(std::shared_ptr<const Model> model, const Hooks& hooks, const Extras& extras, const at::Tensor& input)
    : model_(std::move(model)),
      hooks_(hooks),
      extras_(extras),
      x_(input.to(model_->device)),
      height_(input.size(2)),
      width_(input.size(3)) {
  if (!model_->walks_blocks()) {
    return;
  }
  last_block_ = model_->vit->depth() - 1;
  // Without hooks and without g nobody sees what lies behind the last tap.
  if (model_->heads && !hooks_.any() && !needs_class_feature()) {
    last_block_ = model_->heads->last_tap();
  }
  if (!hooks_.direction.empty()) {
    directions_ = contiguous_directions(hooks_.direction, model_->vit->depth(), model_->info.width).to(model_->device);
  }
}

bool Forward::needs_class_feature() const { return model_->heads && extras_.any(); }

NamedTensors Forward::step() {
  c10::InferenceMode inference;
  // The profiling executor specialises graphs by shape on the first calls of every thread; on small submodules that
  // costs time and memory and gains nothing. A plain forward keeps torch's defaults.
  torch::jit::GraphOptimizerEnabledGuard optimizer(model_->options.plain_forward);
  if (!model_->walks_blocks()) {
    done_ = true;
    return run_whole_module();
  }
  const VitPlan& vit = *model_->vit;
  if (next_block_ == 0) {
    x_ = vit.stem()(x_);
  }
  const int64_t block = next_block_++;
  BlockProbe probe;
  probe.attention = hooks_.class_attention || hooks_.prefix_mass;
  if (directions_.defined()) {
    probe.pulled_direction = vit.block(block).pull(directions_.select(0, block));
  }
  BlockAnswer answer;
  x_ = vit.block(block).forward(x_, probe, answer);

  NamedTensors rows;
  add_hook_rows(block, answer, rows);
  if (model_->heads) {
    const auto& taps = model_->heads->taps();
    // equal taps are allowed: every adapter has its own level
    while (levels_.size() < taps.size() && taps[levels_.size()] == block) {
      levels_.push_back(model_->heads->level(levels_.size(), x_, vit.stem().prefix_tokens(), vit.stem().grid_height(),
                                             vit.stem().grid_width(), height_, width_));
    }
  }
  if (block == last_block_) {
    done_ = true;
    for (NamedTensor& output : outputs()) {
      rows.push_back(std::move(output));
    }
  }
  return rows;
}

void Forward::add_hook_rows(int64_t block, const BlockAnswer& answer, NamedTensors& rows) const {
  if (hooks_.class_token) {
    rows.push_back({"class_token", x_.select(1, 0).clone()});
  }
  if (hooks_.class_attention) {
    rows.push_back({"class_attention", answer.attention});
  }
  if (hooks_.prefix_mass) {
    const int64_t prefix = model_->vit->stem().prefix_tokens();
    rows.push_back({"prefix_mass", answer.attention.slice(2, 0, prefix).sum(2).mean(1)});
  }
  if (directions_.defined()) {
    rows.push_back({"contribution", answer.contribution});
  }
  if (std::find(hooks_.tokens.begin(), hooks_.tokens.end(), block) != hooks_.tokens.end()) {
    rows.push_back({"tokens." + std::to_string(block), x_});
  }
}

NamedTensors Forward::outputs() {
  if (!model_->heads) {
    return {{"logits", model_->vit->head()(x_)}};
  }
  const PromptModule* prompts = model_->prompts ? &*model_->prompts : nullptr;
  NamedTensors outputs = model_->heads->outputs(levels_, extras_, prompts);
  if (needs_class_feature()) {
    const at::Tensor g = unit_feature(model_->vit->head()(x_));
    if (prompts != nullptr) {
      outputs.push_back({"V", prompts->visual(g)});
    }
    if (extras_.intermediates) {
      outputs.push_back({"g", g});
    }
  }
  return outputs;
}

NamedTensors Forward::run_whole_module() {
  Module module = model_->module;
  const auto tensors = output_tensors(module.forward({x_}));
  switch (model_->info.kind) {
    case ModelKind::kVit:
      return {{"logits", tensors.at(0)}};
    case ModelKind::kKfd:
      return {{"p", tensors.at(0)}, {"map", tensors.at(1).select(1, 1)}};
    case ModelKind::kModule:
      break;
  }
  NamedTensors outputs;
  for (size_t i = 0; i < tensors.size(); ++i) {
    outputs.push_back({"output" + std::to_string(i), tensors[i]});
  }
  return outputs;
}

NamedTensors run_forward(std::shared_ptr<const Model> model, const Hooks& hooks, const Extras& extras,
                         const at::Tensor& input, const std::function<bool()>& stop) {
  c10::InferenceMode inference;
  Forward forward(std::move(model), hooks, extras, input);
  std::vector<std::pair<std::string, std::vector<at::Tensor>>> stacks;  // hooks, one row a block
  NamedTensors results;
  while (!forward.done()) {
    if (stop && stop()) {
      throw Error(ErrorCode::kAborted, "the job was cancelled");
    }
    for (NamedTensor& row : forward.step()) {
      const bool per_block = row.name == "class_token" || row.name == "class_attention" || row.name == "prefix_mass" ||
                             row.name == "contribution";
      if (!per_block) {
        results.push_back(std::move(row));
        continue;
      }
      auto stack = std::find_if(stacks.begin(), stacks.end(), [&](const auto& s) { return s.first == row.name; });
      if (stack == stacks.end()) {
        stack = stacks.insert(stacks.end(), {row.name, {}});
      }
      stack->second.push_back(std::move(row.value));
    }
  }
  for (const auto& [name, rows] : stacks) {
    results.push_back({name, at::stack(rows), 1});
  }
  return results;
}

Array to_array(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU, at::kFloat).contiguous();
  Array array{host.sizes().vec(), std::vector<float>(static_cast<size_t>(host.numel()))};
  if (!array.data.empty()) {
    std::memcpy(array.data.data(), host.const_data_ptr<float>(), array.data.size() * sizeof(float));
  }
  return array;
}

}  // namespace kfd::engine
