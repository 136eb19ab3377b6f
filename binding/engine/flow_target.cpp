#include "engine/flow_target.h"

#include <algorithm>
#include <cmath>

namespace kfd::engine {
namespace {

// One target; `form` where Y is a linear form of what the (encoder's) head gives or reads.
struct Seeded {
  TargetSeeds seeds;
  std::optional<HeadForm> form;
};

at::Tensor weights_of(const FlowTarget& target, int64_t batch, int64_t length, const char* what) {
  const auto count = static_cast<int64_t>(target.weights.size());
  if (count != length && count != batch * length) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string("a target's weights of the ") + what + " are " + std::to_string(length) + " values, or " +
                    std::to_string(batch * length) + " for one row an image; received " + std::to_string(count));
  }
  if (!std::all_of(target.weights.begin(), target.weights.end(), [](float w) { return std::isfinite(w); })) {
    throw Error(ErrorCode::kInvalidArgument, "a target's weights are not all finite");
  }
  return at::tensor(at::ArrayRef<float>(target.weights)).view({-1, length}).expand({batch, length}).contiguous();
}

void require_detector(const Model& model, const char* target) {
  if (!model.heads) {
    throw Error(ErrorCode::kInvalidArgument, std::string("the target `") + target + "` needs a KFD detector",
                "explain logits or features of a plain vision transformer");
  }
}

Seeded seed_one(const Model& model, const FlowRecord& record, const FlowTarget& target) {
  const FlowHead& head = flow_plan(model).head();
  const TokenStem& stem = model.vit->stem();
  const int64_t batch = record.tokens.size(0);
  Seeded seeded;
  switch (target.kind) {
    case FlowTarget::Kind::kLogits:
      if (model.heads) {
        throw Error(ErrorCode::kInvalidArgument, "a KFD detector has no logits to explain",
                    "use the targets forgery, class-token-forgery or feature weights");
      }
      seeded.form = head.of_logits(record.tokens,
                                   weights_of(target, batch, record.head_output.size(1), "logits").to(model.device));
      break;
    case FlowTarget::Kind::kFeature:
      seeded.form =
          head.of_feature(record.tokens, weights_of(target, batch, record.tokens.size(2), "feature").to(model.device));
      break;
    case FlowTarget::Kind::kForgery:
      require_detector(model, "forgery");
      seeded.seeds = forgery_seeds(*model.heads, record.tap_tokens, stem.prefix_tokens(), stem.grid_height(),
                                   stem.grid_width(), record.image_height, record.image_width);
      return seeded;
    case FlowTarget::Kind::kClassTokenForgery:
      require_detector(model, "class-token-forgery");
      seeded.seeds = class_token_forgery_seeds(*model.heads, record.tap_tokens, record.head_output);
      if (seeded.seeds.head_output.defined()) {  // the cosine is no linear form: its direct split freezes dY/dx itself
        const auto last = static_cast<int64_t>(record.blocks.size()) - 1;
        seeded.seeds.seeds.push_back({last, head.of_logits(record.tokens, seeded.seeds.head_output).rows});
      }
      return seeded;
  }
  seeded.seeds.y = seeded.form->y;
  return seeded;
}

// (B,R,D) with zero rows behind, or undefined -> all zero
at::Tensor padded(const at::Tensor& rows, int64_t count, const at::Tensor& like) {
  if (!rows.defined()) {
    return at::zeros({like.size(0), count, like.size(2)}, like.options());
  }
  if (rows.size(1) == count) {
    return rows;
  }
  return at::cat({rows, at::zeros({rows.size(0), count - rows.size(1), rows.size(2)}, rows.options())}, 1);
}

at::Tensor sum(const at::Tensor& a, const at::Tensor& b) {
  const int64_t count = std::max(a.size(1), b.size(1));
  return padded(a, count, a) + padded(b, count, b);
}

// Adds up what each target has at each block, and stacks the targets.
std::vector<at::Tensor> stack_seeds(const std::vector<std::vector<BlockSeed>>& targets, const FlowRecord& record) {
  const int64_t tokens = record.blocks.front().v.size(2);
  std::vector<at::Tensor> stacked(record.blocks.size());
  for (size_t block = 0; block < stacked.size(); ++block) {
    std::vector<at::Tensor> rows(targets.size());
    int64_t most = 0;
    for (size_t t = 0; t < targets.size(); ++t) {
      for (const BlockSeed& seed : targets[t]) {
        if (seed.block == static_cast<int64_t>(block)) {
          rows[t] = rows[t].defined() ? sum(rows[t], seed.rows) : seed.rows;
          most = std::max(most, rows[t].size(1));
        }
      }
    }
    if (most == 0) {
      continue;
    }
    most = most <= record.class_rows ? record.class_rows : tokens;
    for (at::Tensor& one : rows) {
      one = padded(one, most, record.tokens);
    }
    stacked[block] = at::stack(rows);
  }
  return stacked;
}

// <seeds, x> over all blocks: (B)
at::Tensor linear_form(const std::vector<BlockSeed>& seeds, const FlowRecord& record) {
  at::Tensor value = at::zeros({record.tokens.size(0)}, record.tokens.options());
  for (const BlockSeed& seed : seeds) {
    const at::Tensor& output = record.blocks[static_cast<size_t>(seed.block)].output;
    if (output.size(1) < seed.rows.size(1)) {
      throw Error(ErrorCode::kInvalidArgument, "this target reads patch tokens, which this flow has not kept",
                  "open the flow with full: true");
    }
    value = value + (seed.rows * output.slice(1, 0, seed.rows.size(1))).flatten(1).sum(1);
  }
  return value;
}

}  // namespace

PassSeeds seed_targets(const Model& model, const FlowRecord& record, const std::vector<FlowTarget>& targets) {
  const auto last = static_cast<int64_t>(record.blocks.size()) - 1;
  std::vector<std::vector<BlockSeed>> exact, frozen;
  std::vector<at::Tensor> y, norm_bias, head_bias, value;
  for (const FlowTarget& target : targets) {
    const Seeded seeded = seed_one(model, record, target);
    y.push_back(seeded.seeds.y);
    exact.push_back(seeded.seeds.seeds);
    frozen.push_back(seeded.seeds.seeds);
    const at::Tensor none = at::zeros_like(seeded.seeds.y);
    norm_bias.push_back(seeded.form ? seeded.form->norm_bias : none);
    head_bias.push_back(seeded.form ? seeded.form->head_bias : none);
    value.push_back(seeded.form ? seeded.form->y : linear_form(seeded.seeds.seeds, record));
    if (seeded.form) {
      exact.back().push_back({last, seeded.form->rows});
      frozen.back().push_back({last, seeded.form->frozen_rows});
    }
  }
  return {at::stack(y),         stack_seeds(exact, record), stack_seeds(frozen, record),
          at::stack(norm_bias), at::stack(head_bias),       at::stack(value)};
}

}  // namespace kfd::engine
