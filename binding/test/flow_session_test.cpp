// The order of a flow's calls, refusals, closing, and many passes over one forward pass.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <future>

#include "flow_helpers.h"

using namespace kfd::engine;
using namespace kfd::test;

namespace {

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(std::string(error.what()).size() > 10);
    return error.code();
  }
  return ErrorCode::kInternal;  // nothing was thrown
}

FlowTarget logit(const Model& model, size_t k) {
  FlowTarget target;
  target.weights.assign(static_cast<size_t>(info(model).classes), 0.0F);
  target.weights.at(k) = 1;
  return target;
}

FlowPass gradient_of(const Model& model, size_t k) {
  FlowPass pass;
  pass.targets.push_back(logit(model, k));
  return pass;
}

}  // namespace

TEST_CASE("a flow's calls have an order") {
  const Case c = one_case("daam_plain");
  const auto executor = one_lane();
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kVit));
  const auto flow = executor->flow(model, tensor_request(c.array("image")), {});
  CHECK(code_of([&] { wait_begin(*flow, gradient_of(*model, 0)); }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] { wait_next(*flow); }) == ErrorCode::kInvalidArgument);
  wait_forward(*flow);
  CHECK(code_of([&] { wait_forward(*flow); }) == ErrorCode::kInvalidArgument);
  CHECK(code_of([&] { wait_next(*flow); }) == ErrorCode::kInvalidArgument);
  wait_begin(*flow, gradient_of(*model, 0));
  CHECK(wait_next(*flow).block == 2);
  wait_begin(*flow, gradient_of(*model, 1));  // gives up the pass before
  CHECK(wait_next(*flow).block == 2);
  CHECK(wait_next(*flow).block == 1);
  CHECK(wait_next(*flow).last);
  CHECK(code_of([&] { wait_next(*flow); }) == ErrorCode::kInvalidArgument);
  flow->close();
  flow->close();
  CHECK(code_of([&] { wait_begin(*flow, gradient_of(*model, 0)); }) == ErrorCode::kDisposed);
}

TEST_CASE("passes without meaning are refused, and the flow stays usable") {
  const Case c = one_case("daam_plain");
  const OpenFlow open(c), light(c, false);
  const auto refused = [&](const OpenFlow& flow, const std::function<void(FlowPass&)>& change) {
    FlowPass pass = gradient_of(*open.model, 0);
    change(pass);
    return code_of([&] { wait_begin(*flow.flow, pass); });
  };
  CHECK(refused(open, [](FlowPass& p) { p.targets.clear(); }) == ErrorCode::kInvalidArgument);
  CHECK(refused(open, [](FlowPass& p) { p.targets[0].weights.pop_back(); }) == ErrorCode::kInvalidArgument);
  CHECK(refused(open, [](FlowPass& p) { p.targets[0].weights[0] = NAN; }) == ErrorCode::kInvalidArgument);
  CHECK(refused(open, [](FlowPass& p) { p.targets[0].kind = FlowTarget::Kind::kForgery; }) ==
        ErrorCode::kInvalidArgument);
  CHECK(refused(open, [](FlowPass& p) {
          p.coefficients = Coefficients::kClassRow;
          p.all_rows = true;
        }) == ErrorCode::kInvalidArgument);
  CHECK(refused(open, [](FlowPass& p) {
          p.coefficients = Coefficients::kDirect;
          p.baselines = true;
        }) == ErrorCode::kInvalidArgument);
  CHECK(refused(light, [](FlowPass&) {}) == ErrorCode::kInvalidArgument);
  CHECK(refused(light, [](FlowPass& p) {
          p.coefficients = Coefficients::kDirect;
          p.all_rows = true;
        }) == ErrorCode::kInvalidArgument);
  CHECK(open.pass(gradient_of(*open.model, 0)).order.size() == 3);
}

TEST_CASE("models without the needed parts are refused with a reason") {
  const Case pooled = one_case("daam_no_class_token");
  const OpenFlow open(pooled);
  CHECK(code_of([&] { wait_begin(*open.flow, gradient_of(*open.model, 0)); }) == ErrorCode::kModelUnsupported);

  const Case normed = one_case("daam_attention_norm");
  const OpenFlow with_norm(normed);
  FlowPass direct = gradient_of(*with_norm.model, 0);
  direct.coefficients = Coefficients::kDirect;
  CHECK(code_of([&] { wait_begin(*with_norm.flow, direct); }) == ErrorCode::kModelUnsupported);

  const Case black_box = one_case("vit_black_box");
  const auto executor = one_lane();
  const auto model = load_model(black_box.models.front().second, options_of(black_box, ModelKind::kVit));
  REQUIRE(info(*model).execution == "black-box-blocks");
  const auto flow = executor->flow(model, tensor_request(black_box.array("image")), {});
  CHECK(code_of([&] { wait_forward(*flow); }) == ErrorCode::kModelUnsupported);

  Request hooked = tensor_request(black_box.array("image"));
  hooked.hooks.class_attention = true;
  CHECK(code_of([&] { executor->flow(model, hooked, {}); }) == ErrorCode::kInvalidArgument);
}

TEST_CASE("closing drops what runs and what is queued") {
  const Case c = one_case("daam_deeper");
  const auto executor = one_lane();
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kVit));
  Array many = c.array("image");
  for (int i = 0; i < 7; ++i) {
    many.data.insert(many.data.end(), many.data.begin(), many.data.end());
    many.shape[0] *= 2;
  }
  // the first holds the lane, the second waits behind it
  const auto running = executor->flow(model, tensor_request(many), {});
  const auto queued = executor->flow(model, tensor_request(many), {});
  std::promise<Outcome> first, second;
  running->forward([&](Outcome outcome) { first.set_value(std::move(outcome)); });
  queued->forward([&](Outcome outcome) { second.set_value(std::move(outcome)); });
  queued->close();
  running->close();
  const Outcome stopped = first.get_future().get(), dropped = second.get_future().get();
  REQUIRE(stopped.error);
  CHECK(stopped.error->code() == ErrorCode::kAborted);
  REQUIRE(dropped.error);
  CHECK(dropped.error->code() == ErrorCode::kAborted);
}

TEST_CASE("a flow may outlive its executor") {
  const Case c = one_case("daam_plain");
  auto executor = one_lane();
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kVit));
  const auto flow = executor->flow(model, tensor_request(c.array("image")), {});
  wait_forward(*flow);
  executor.reset();
  CHECK(code_of([&] { wait_begin(*flow, gradient_of(*model, 0)); }) == ErrorCode::kDisposed);
}
