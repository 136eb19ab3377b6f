#include "engine/flow_forward.h"

namespace kfd::engine {
namespace {

// A model without a class token has no class rows; one that pools patches beside a class token has one.
int64_t class_rows(const Model& model, const FlowHead& head) {
  return model.vit->stem().has_class_token() ? std::max<int64_t>(head.class_rows(), 1) : 0;
}

// The head read for derivatives must be the module's own head.
void verify_head(const FlowHead& head, const at::Tensor& tokens, const at::Tensor& expected) {
  if (!expected.isfinite().all().item<bool>()) {
    return;  // not for this check to say
  }
  const double error = relative_error(head.logits(tokens), expected);
  if (!(error <= kVerificationTolerance)) {
    throw Error(ErrorCode::kModelUnsupported,
                "the head by its weights gives other logits than the module's own (relative difference " +
                    std::to_string(error) + ")",
                "flows need norm, token or average pooling, fc_norm and a linear head, and nothing besides");
  }
}

void add_outputs(const Model& model, const FlowHead& head, bool prompts, FlowRecord& record) {
  record.head_output = model.vit->head()(record.tokens);
  if (!model.heads) {
    verify_head(head, record.tokens, record.head_output);
    record.outputs.push_back({"logits", record.head_output});
  } else {
    const TokenStem& stem = model.vit->stem();
    std::vector<KfdHeads::Level> levels;
    for (size_t i = 0; i < record.tap_tokens.size(); ++i) {
      levels.push_back(model.heads->level(i, record.tap_tokens[i], stem.prefix_tokens(), stem.grid_height(),
                                          stem.grid_width(), record.image_height, record.image_width));
    }
    record.outputs = model.heads->outputs(levels, {.prompts = prompts}, model.prompts ? &*model.prompts : nullptr);
    if (prompts) {
      record.outputs.push_back({"V", model.prompts->visual(unit_feature(record.head_output))});
    }
  }
  record.outputs.push_back({"feature", head.feature(record.tokens)});
}

}  // namespace

FlowRecord run_flow_forward(const Model& model, bool full, bool prompts, const at::Tensor& input,
                            const std::function<bool()>& stop) {
  c10::InferenceMode inference;
  torch::jit::GraphOptimizerEnabledGuard optimizer(false);  // as in Forward::step
  FlowPlan& plan = flow_plan(model);
  FlowRecord record;
  record.full = full;
  record.class_rows = class_rows(model, plan.head());
  record.image_height = input.size(2);
  record.image_width = input.size(3);
  RecordOptions options{std::max<int64_t>(record.class_rows, 1), full, false};

  at::Tensor x = model.vit->stem()(input.to(model.device));
  const int64_t depth = model.vit->depth();
  for (int64_t block = 0; block < depth; ++block) {
    if (stop && stop()) {
      throw Error(ErrorCode::kAborted, "the flow was closed during its forward pass");
    }
    // A head on class rows alone leaves the last block's other tokens unread.
    options.narrow = block + 1 == depth && !model.heads && plan.head().class_rows() > 0;
    x = record_block(plan.parts(block), x, options, record.blocks.emplace_back());
    if (model.heads) {
      for (const int64_t tap : model.heads->taps()) {
        if (tap == block) record.tap_tokens.push_back(x);
      }
    }
  }
  record.tokens = x;
  add_outputs(model, plan.head(), prompts, record);
  return record;
}

}  // namespace kfd::engine
