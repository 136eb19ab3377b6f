#include "flow_helpers.h"

#include <algorithm>
#include <cmath>

#include "wait.h"

namespace kfd::test {
namespace {

using namespace kfd::engine;

FlowTarget::Kind kind_of(const std::string& name) {
  if (name == "logits") return FlowTarget::Kind::kLogits;
  if (name == "feature") return FlowTarget::Kind::kFeature;
  if (name == "forgery") return FlowTarget::Kind::kForgery;
  if (name == "class-token-forgery") return FlowTarget::Kind::kClassTokenForgery;
  throw std::runtime_error("unknown target kind " + name);
}

}  // namespace

const Array& PassResult::at(int64_t block, const std::string& name) const {
  const auto& arrays = blocks.at(static_cast<size_t>(block));
  const auto found = arrays.find(name);
  if (found == arrays.end()) {
    throw std::runtime_error("block " + std::to_string(block) + " has no array " + name);
  }
  return found->second;
}

Result wait_forward(Flow& flow) {
  return std::move(*wait<Outcome>([&](Callback callback) { flow.forward(std::move(callback)); }).result);
}

Result wait_begin(Flow& flow, FlowPass pass) {
  return std::move(*wait<Outcome>([&](Callback callback) { flow.begin(std::move(pass), std::move(callback)); }).result);
}

BlockEvent wait_next(Flow& flow) {
  return std::move(*wait<BlockOutcome>([&](BlockCallback callback) { flow.next(std::move(callback)); }).event);
}

PassResult run_pass(Flow& flow, const FlowPass& pass, int64_t depth) {
  PassResult result;
  result.y = get(wait_begin(flow, pass), "y");
  result.blocks.resize(static_cast<size_t>(depth));
  for (bool last = false; !last;) {
    BlockEvent event = wait_next(flow);
    last = event.last;
    result.order.push_back(event.block);
    auto& arrays = result.blocks.at(static_cast<size_t>(event.block));
    for (auto& [name, array] : event.arrays) {
      arrays[name] = std::move(array);
    }
  }
  return result;
}

CaseTargets case_targets(const Case& c) {
  CaseTargets all;
  const int64_t count = std::stoll(c.settings.at("targets"));
  for (int64_t i = 0; i < count; ++i) {
    const std::string prefix = "target." + std::to_string(i);
    FlowTarget target;
    target.kind = kind_of(c.settings.at(prefix + ".kind"));
    if (c.has(prefix + ".weights")) {
      target.weights = c.array(prefix + ".weights").data;
    }
    all.targets.push_back(std::move(target));
    all.indices.push_back(i);
  }
  return all;
}

OpenFlow::OpenFlow(const Case& c, bool full, const std::string& model_name) {
  const bool detector = c.has("expected.p");
  model = load_model(c.model(model_name), options_of(c, detector ? ModelKind::kKfd : ModelKind::kVit));
  depth = info(*model).depth;
  flow = executor->flow(model, tensor_request(c.array("image")), {full});
  outputs = wait_forward(*flow);
}

Array at_index(const Array& array, int64_t i) {
  Array part = rows(array, i, 1);
  part.shape.erase(part.shape.begin());
  return part;
}

double inner(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a.at(i)) * static_cast<double>(b.at(i));
  }
  return sum;
}

double largest(const Array& array) {
  double most = 0;
  for (const float value : array.data) {
    most = std::max(most, std::abs(static_cast<double>(value)));
  }
  return most;
}

}  // namespace kfd::test
