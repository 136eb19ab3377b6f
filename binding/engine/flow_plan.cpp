#include "engine/flow_plan.h"

#include "engine/row_linear.h"

namespace kfd::engine {
namespace {

const VitPlan& walked(const Model& model) {
  if (!model.walks_blocks()) {
    throw Error(ErrorCode::kInvalidArgument, "a flow needs a model whose blocks are walked",
                "load it as a vision transformer or KFD model, without plain_forward");
  }
  return *model.vit;
}

ReverseLayers packed_layers(const BlockParts& parts, int64_t rows) {
  const auto turned = [&](const at::Tensor& weight) {
    return Linear(weight.t().contiguous(), {}, parts.fc1.prepacked(), rows);
  };
  const at::Tensor qkv = parts.attention.qkv().dense_weight();
  const int64_t width = qkv.size(0) / 3;
  return {turned(parts.fc2.dense_weight()), turned(parts.fc1.dense_weight()), turned(parts.projection_weight),
          turned(qkv.slice(0, 0, width)),   turned(qkv.slice(0, width)),      turned(qkv)};
}

// Every row of a class-row pass brings q, k and v together.
ReverseLayers row_layers(const BlockParts& parts) {
  const auto back = [](const at::Tensor& weight) {
    return [linear = std::make_shared<const RowLinear>(weight)](const at::Tensor& derivative) {
      return linear->reverse(derivative);
    };
  };
  return {back(parts.fc2.dense_weight()),
          back(parts.fc1.dense_weight()),
          back(parts.projection_weight),
          {},
          {},
          back(parts.attention.qkv().dense_weight())};
}

bool rows_available(const BlockParts& parts) {
  const at::Tensor fc1 = parts.fc1.dense_weight();
  return RowLinear::available(parts.projection_weight) && RowLinear::available(fc1) && RowLinear::available(fc1.t()) &&
         RowLinear::available(parts.attention.qkv().dense_weight());
}

}  // namespace

FlowPlan::FlowPlan(const Model& model)
    : head_(walked(model).module(), model.vit->stem(), model.options), rows_(model.vit->stem().tokens()) {
  for (int64_t i = 0; i < model.vit->depth(); ++i) {
    const BlockParts* parts = model.vit->block(i).parts();
    if (parts == nullptr) {
      throw Error(ErrorCode::kModelUnsupported,
                  "flows need the engine's own block code, but this model's blocks are called as black boxes",
                  "`model info` says why; the hooks of the class attention work on such models");
    }
    parts_.push_back(parts);
  }
  reverse_.resize(parts_.size());
  reverse_rows_.resize(parts_.size());
}

const ReverseLayers& FlowPlan::reverse(int64_t block) {
  const std::unique_lock lock(mutex_);
  auto& layers = reverse_[static_cast<size_t>(block)];
  if (!layers) {
    layers = std::make_unique<ReverseLayers>(packed_layers(parts(block), rows_));
  }
  return *layers;
}

const ReverseLayers& FlowPlan::reverse_rows(int64_t block) {
  {
    const std::unique_lock lock(mutex_);
    auto& layers = reverse_rows_[static_cast<size_t>(block)];
    if (!layers && rows_available(parts(block))) {
      layers = std::make_unique<ReverseLayers>(row_layers(parts(block)));
    }
    if (layers) {
      return *layers;
    }
  }
  return reverse(block);
}

bool FlowPlan::has_attention_norm() const {
  for (const BlockParts* parts : parts_) {
    if (parts->attention_norm.present()) {
      return true;
    }
  }
  return false;
}

FlowPlan& flow_plan(const Model& model) {
  const std::unique_lock lock(model.flow_mutex);
  if (!model.flow_plan) {
    model.flow_plan = std::make_shared<FlowPlan>(model);
  }
  return *model.flow_plan;
}

}  // namespace kfd::engine
