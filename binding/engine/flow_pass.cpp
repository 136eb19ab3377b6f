#include "engine/flow_pass.h"

#include "engine/block_reverse.h"
#include "engine/flow_maps.h"
#include "engine/row_linear.h"

namespace kfd::engine {

FlowPassRun::FlowPassRun(const Model& model, const FlowRecord& record, FlowPass pass)
    : model_(model),
      plan_(flow_plan(model)),
      record_(record),
      pass_(std::move(pass)),
      seeds_(seed_targets(model, record, pass_.targets)) {}

void FlowPassRun::add_maps(int64_t block, const at::Tensor& coefficients, NamedTensors& arrays) const {
  const int64_t rows = pass_.all_rows ? coefficients.size(2) : record_.class_rows;
  const TokenMaps maps =
      token_maps(record(block), plan_.parts(block).attention.scale(), coefficients.slice(2, 0, rows), pass_.per_head);
  arrays.push_back({"C", coefficients.select(2, 0)});
  arrays.push_back({"U", maps.signed_map});
  arrays.push_back({"U_relu", maps.relu_map});
  arrays.push_back({"total", maps.total});
  if (pass_.per_head) {
    arrays.push_back({"U_heads", maps.signed_heads});
    arrays.push_back({"U_relu_heads", maps.relu_heads});
  }
}

at::Tensor FlowPassRun::no_derivative() const {
  const auto& tokens = record_.tokens;
  const int64_t rows = std::max<int64_t>(record_.class_rows, 1);
  return at::zeros({seeds_.y.size(0), tokens.size(0), rows, tokens.size(2)}, tokens.options());
}

namespace {

// a + b, where either may be undefined and the shorter one's missing rows are zero.
at::Tensor add_rows(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) {
    return a.defined() ? a : b;
  }
  if (a.size(2) < b.size(2)) {
    return add_rows(b, a);
  }
  at::Tensor sum = a.clone();
  sum.slice(2, 0, b.size(2)) += b;
  return sum;
}

// dY/dT_b by the reverse pass, last block first: through all tokens, or with all but the class tokens constant.
class ReversePass final : public FlowPassRun {
 public:
  ReversePass(const Model& model, const FlowRecord& record, FlowPass pass)
      : FlowPassRun(model, record, std::move(pass)), block_(depth() - 1) {
    if (pass_.baselines) {
      rollout_ = at::zeros({record.tokens.size(0), record.blocks.front().v.size(2)}, record.tokens.options());
      rollout_.select(1, 0) += 1;
    }
  }

  Event step() override {
    Event event{block_, {}};
    at::Tensor output = add_rows(output_, seeds_.exact[static_cast<size_t>(block_)]);
    const bool first_event = block_ + 1 == depth();
    const bool seeded = output.defined();  // else nothing from this block on was
    if (!seeded) {
      output = no_derivative();
    }
    if (block_ == 0 && !pass_.all_rows) {
      output = output.slice(2, 0, record_.class_rows).contiguous();
    }
    BlockReverse reverse(plan_.parts(block_), layers(output), record(block_));
    const BranchDerivative branch = to_mixed(reverse, output);
    add_maps(block_, branch.mixed, event.arrays);
    if (pass_.baselines) {
      add_baselines(reverse, branch, first_event, event.arrays);
    }
    output_ = block_ > 0 && seeded ? to_input(reverse, branch) : at::Tensor();
    done_ = block_-- == 0;
    return event;
  }

 private:
  const ReverseLayers& layers(const at::Tensor& output) const {
    const bool few = output.numel() / output.size(-1) <= RowLinear::kMostRows;
    return few && pass_.coefficients == Coefficients::kClassRow ? plan_.reverse_rows(block_) : plan_.reverse(block_);
  }

  // All tokens of one target at a time: the packed products are made for that many rows, and it stays in the cache.
  // Class rows of all targets at once: there reading the weights is what costs.
  BranchDerivative to_mixed(BlockReverse& reverse, const at::Tensor& output) const {
    if (output.size(0) == 1 || output.size(2) <= record_.class_rows) {
      return reverse.to_mixed(output);
    }
    reverse.expect_more_targets(output.size(2));
    std::vector<at::Tensor> middle, mixed;
    for (int64_t target = 0; target < output.size(0); ++target) {
      BranchDerivative branch = reverse.to_mixed(output.narrow(0, target, 1));
      middle.push_back(std::move(branch.middle));
      mixed.push_back(std::move(branch.mixed));
    }
    return {at::cat(middle), at::cat(mixed)};
  }

  at::Tensor to_input(const BlockReverse& reverse, const BranchDerivative& branch) const {
    // The first block wants no more than its class rows' coefficients.
    const bool class_rows_suffice = pass_.coefficients == Coefficients::kClassRow || (block_ == 1 && !pass_.all_rows);
    if (class_rows_suffice) {
      return reverse.to_class_input(branch);
    }
    std::vector<at::Tensor> inputs;
    for (int64_t target = 0; target < branch.mixed.size(0); ++target) {
      inputs.push_back(reverse.to_input({branch.middle.narrow(0, target, 1), branch.mixed.narrow(0, target, 1)}));
    }
    return inputs.size() == 1 ? inputs.front() : at::cat(inputs);
  }

  void add_baselines(const BlockReverse& reverse, const BranchDerivative& branch, bool first_event,
                     NamedTensors& arrays) {
    arrays.push_back({"attention", record(block_).class_attention.select(2, 0)});
    rollout_ = rollout_step(record(block_), plan_.parts(block_).attention.scale(), rollout_);
    arrays.push_back({"rollout", rollout_});
    if (first_event) {
      const at::Tensor z = layer_norm(record(block_).x, plan_.parts(block_).attention.norm1());  // (B,N,D)
      arrays.push_back({"gradcam", at::matmul(z, reverse.to_class_norm(branch).unsqueeze(-1)).squeeze(-1)});
    }
  }

  int64_t block_;
  at::Tensor output_;  // (T,B,R,D) dY/d(output of block_) without its own seeds; undefined: zero
  at::Tensor rollout_;
};

// Frozen LayerNorm scales: the derivative of the residual stream is the same at every block (I4), first block first.
class DirectPass final : public FlowPassRun {
 public:
  DirectPass(const Model& model, const FlowRecord& record, FlowPass pass)
      : FlowPassRun(model, record, std::move(pass)) {}

  Event step() override {
    Event event{block_, {}};
    const BlockParts& parts = plan_.parts(block_);
    const at::Tensor direction = direction_behind(block_);
    const int64_t rows = direction.size(2);
    // not through reverse(block): a class row needs no turned copy of the weight
    const at::Tensor coefficients = rows <= record_.class_rows ? at::matmul(direction, parts.projection_weight)
                                                               : plan_.reverse(block_).proj(direction);
    add_maps(block_, coefficients, event.arrays);
    const at::Tensor& bias = parts.proj.bias();
    const auto& kept = record(block_);
    const at::Tensor mlp = kept.output.slice(1, 0, rows) - kept.middle.slice(1, 0, rows);
    event.arrays.push_back(
        {"attention_bias", bias.defined() ? at::matmul(direction.sum(2), bias) : at::zeros_like(seeds_.y)});
    event.arrays.push_back({"mlp", inner(direction, mlp)});
    if (block_ == 0) {
      embedding_ = inner(direction, kept.x.slice(1, 0, rows));
    }
    done_ = ++block_ == depth();
    if (done_) {
      event.arrays.push_back({"embedding", embedding_});
      event.arrays.push_back({"norm_bias", seeds_.norm_bias});
      event.arrays.push_back({"head_bias", seeds_.head_bias});
      event.arrays.push_back({"value", seeds_.value});
    }
    return event;
  }

 private:
  // (T,B,R,D), (B,R,D) -> (T,B)
  static at::Tensor inner(const at::Tensor& direction, const at::Tensor& rows) {
    return (direction * rows).flatten(2).sum(2);
  }

  // The seeds at and behind this block added up; kept until a seeded block has been passed.
  at::Tensor direction_behind(int64_t block) {
    if (!direction_.defined() || (block > 0 && seeds_.frozen[static_cast<size_t>(block - 1)].defined())) {
      direction_.reset();
      for (int64_t b = block; b < depth(); ++b) {
        direction_ = add_rows(direction_, seeds_.frozen[static_cast<size_t>(b)]);
      }
    }
    return direction_.defined() ? direction_ : no_derivative();
  }

  int64_t block_ = 0;
  at::Tensor direction_, embedding_;
};

void require_consistent(const Model& model, const FlowRecord& record, const FlowPass& pass) {
  const bool class_row = pass.coefficients == Coefficients::kClassRow;
  if (pass.targets.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "a pass needs at least one target");
  }
  if (!record.full && (pass.coefficients == Coefficients::kGradient || pass.all_rows || pass.baselines)) {
    throw Error(ErrorCode::kInvalidArgument,
                "gradient coefficients, all rows and baselines need a flow that keeps all tokens",
                "open the flow with full: true");
  }
  if (pass.baselines && (pass.coefficients != Coefficients::kGradient || record.class_rows == 0)) {
    throw Error(ErrorCode::kInvalidArgument,
                "baselines come with gradient coefficients only, and of models with a class token");
  }
  if (class_row && pass.all_rows) {
    throw Error(ErrorCode::kInvalidArgument,
                "class-row coefficients hold all other tokens constant, so there are no other rows to decompose",
                "use rows: class, or gradient or direct coefficients");
  }
  if (record.class_rows == 0 && !pass.all_rows) {
    throw Error(ErrorCode::kModelUnsupported, "the model has no class token, so class rows have no value",
                "decompose all rows");
  }
  if (pass.coefficients == Coefficients::kDirect && flow_plan(model).has_attention_norm()) {
    throw Error(
        ErrorCode::kModelUnsupported,
        "attn.norm mixes the channels of all heads with a scale of its own, so the direct split is not additive",
        "use gradient or class-row coefficients");
  }
}

// Where Y reads patch tokens, the class rows alone say nothing (class-row) or not all (direct).
void require_class_target(const FlowRecord& record, const FlowPass& pass, const PassSeeds& seeds) {
  if (pass.all_rows || pass.coefficients == Coefficients::kGradient) {
    return;
  }
  for (const at::Tensor& rows : seeds.exact) {
    if (rows.defined() && rows.size(2) > record.class_rows) {
      throw Error(ErrorCode::kInvalidArgument,
                  "this target reads patch tokens, so class-row coefficients and the direct split of the class row "
                  "miss it",
                  "use gradient coefficients, or direct ones of all rows");
    }
  }
}

}  // namespace

std::unique_ptr<FlowPassRun> start_pass(const Model& model, const FlowRecord& record, FlowPass pass) {
  require_consistent(model, record, pass);
  std::unique_ptr<FlowPassRun> run;
  if (pass.coefficients == Coefficients::kDirect) {
    run = std::make_unique<DirectPass>(model, record, std::move(pass));
  } else {
    run = std::make_unique<ReversePass>(model, record, std::move(pass));
  }
  require_class_target(record, run->pass(), run->seeds());
  return run;
}

}  // namespace kfd::engine
