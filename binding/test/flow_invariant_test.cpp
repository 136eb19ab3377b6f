// The invariants of spec/daam.md section 3, by the engine's own arrays. References hold the same values; these checks
// need none, and say which law a mistake breaks.
#include <doctest/doctest.h>

#include <cmath>

#include "flow_helpers.h"

using namespace kfd::engine;
using namespace kfd::test;

namespace {

const char* const kModels[] = {"daam_plain", "daam_layer_scale_registers", "daam_distilled", "daam_clip_like",
                               "daam_deeper"};

FlowPass pass_of(Coefficients coefficients, std::vector<FlowTarget> targets, bool all_rows = false) {
  FlowPass pass;
  pass.coefficients = coefficients;
  pass.all_rows = all_rows;
  pass.per_head = true;
  pass.targets = std::move(targets);
  return pass;
}

FlowTarget logits(std::vector<float> weights) { return {FlowTarget::Kind::kLogits, std::move(weights)}; }

FlowTarget one_logit(int64_t classes, int64_t k, float scale = 1) {
  std::vector<float> weights(static_cast<size_t>(classes), 0.0F);
  weights.at(static_cast<size_t>(k)) = scale;
  return logits(std::move(weights));
}

// Sum over the last axis of an array (..., N), as doubles.
std::vector<double> token_sums(const Array& map) {
  const auto tokens = static_cast<size_t>(map.shape.back());
  std::vector<double> sums(map.data.size() / tokens, 0.0);
  for (size_t i = 0; i < map.data.size(); ++i) {
    sums[i / tokens] += static_cast<double>(map.data[i]);
  }
  return sums;
}

double worst_difference(const std::vector<double>& actual, const std::vector<float>& expected) {
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(actual[i] - static_cast<double>(expected.at(i))));
  }
  return worst;
}

}  // namespace

TEST_CASE("I15, I-head: token maps add up to gradient times activation, heads to the map") {
  for (const char* name : kModels) {
    const Case c = one_case(name);
    CAPTURE(c.name);
    const OpenFlow open(c);
    for (const bool all_rows : {false, true}) {
      const PassResult pass = open.pass(pass_of(Coefficients::kGradient, case_targets(c).targets, all_rows));
      for (int64_t block = 0; block < open.depth; ++block) {
        const Array& map = pass.at(block, "U");
        CHECK(worst_difference(token_sums(map), pass.at(block, "total").data) < 1e-4 * largest(map));
        const Array& heads = pass.at(block, "U_heads");
        const int64_t tokens = map.shape.back(), head_count = heads.shape.at(2);
        double worst = 0;
        for (int64_t row = 0; row < heads.shape[0] * heads.shape[1]; ++row) {
          for (int64_t n = 0; n < tokens; ++n) {
            double sum = 0;
            for (int64_t h = 0; h < head_count; ++h) {
              sum += heads.data.at(static_cast<size_t>((row * head_count + h) * tokens + n));
            }
            worst = std::max(worst, std::abs(sum - map.data.at(static_cast<size_t>(row * tokens + n))));
          }
        }
        CHECK(worst < 1e-5 * largest(map));
      }
    }
  }
}

TEST_CASE("I4, I4', I4'': the direct split adds up to the target") {
  for (const char* name : kModels) {
    const Case c = one_case(name);
    CAPTURE(c.name);
    for (const bool full : {true, false}) {
      const OpenFlow open(c, full);
      const PassResult pass = open.pass(pass_of(Coefficients::kDirect, case_targets(c).targets));
      const Array& value = pass.last("value");
      double scale = largest(value);
      std::vector<double> sum(value.data.size(), 0.0);
      const auto add = [&](const std::vector<double>& part) {
        for (size_t i = 0; i < sum.size(); ++i) {
          sum[i] += part.at(i);
          scale = std::max(scale, std::abs(part[i]));
        }
      };
      const auto plain = [](const Array& array) { return std::vector<double>(array.data.begin(), array.data.end()); };
      for (int64_t block = 0; block < open.depth; ++block) {
        add(token_sums(pass.at(block, "U")));
        add(plain(pass.at(block, "attention_bias")));
        add(plain(pass.at(block, "mlp")));
      }
      for (const char* part : {"embedding", "norm_bias", "head_bias"}) {
        add(plain(pass.last(part)));
      }
      CHECK(worst_difference(sum, value.data) < 2e-5 * scale);
      CHECK(worst_difference(plain(value), pass.y.data) < 1e-5 * scale);  // the value is the target itself
    }
  }
}

TEST_CASE("I12, I-bias: linear in the target's weights") {
  const Case c = one_case("daam_deeper");
  const OpenFlow open(c);
  const auto classes = info(*open.model).classes;
  std::vector<float> mixed(static_cast<size_t>(classes), 0.0F);
  mixed[1] = 2;
  mixed[4] = -0.5F;
  for (const Coefficients kind : {Coefficients::kGradient, Coefficients::kClassRow, Coefficients::kDirect}) {
    const PassResult pass = open.pass(
        pass_of(kind, {one_logit(classes, 1), one_logit(classes, 4), logits(mixed), one_logit(classes, 1, 3)}));
    for (int64_t block = 0; block < open.depth; ++block) {
      const Array& map = pass.at(block, "U");
      const Array a = at_index(map, 0), b = at_index(map, 1), both = at_index(map, 2);
      Array combined = a;
      for (size_t i = 0; i < a.data.size(); ++i) {
        combined.data[i] = 2 * a.data[i] - 0.5F * b.data[i];
      }
      CHECK(relative_error(both, combined) < 1e-4);
      const Array& relu = pass.at(block, "U_relu");
      Array thrice = at_index(relu, 0);
      for (float& value : thrice.data) {
        value *= 3;
      }
      CHECK(relative_error(at_index(relu, 3), thrice) < 1e-5);  // I-bias: a positive factor scales every map
    }
  }
}

TEST_CASE("I6: the class-row pass is exact for the last two blocks and no earlier") {
  for (const char* name : kModels) {
    const Case c = one_case(name);
    CAPTURE(c.name);
    const OpenFlow open(c);
    const auto targets = case_targets(c).targets;
    const PassResult exact = open.pass(pass_of(Coefficients::kGradient, targets));
    const PassResult cheap = open.pass(pass_of(Coefficients::kClassRow, targets));
    const auto error = [&](int64_t block) { return relative_error(cheap.at(block, "C"), exact.at(block, "C")); };
    CHECK(error(open.depth - 1) < 1e-3);
    CHECK(error(open.depth - 2) < 1e-3);
    if (open.depth > 3) {  // three random blocks leave the missing part small
      CHECK(error(0) > 2e-3);
    }
  }
}

TEST_CASE("I8: reparametrised values change ReLU maps, signed maps stay") {
  const Case c = one_case("daam_reparametrised");
  const OpenFlow open(c), flipped(c, true, "flipped");
  const auto targets = case_targets(c).targets;
  CHECK(relative_error(get(open.outputs, "logits"), get(flipped.outputs, "logits")) < 1e-5);
  double relu_change = 0;
  const PassResult a = open.pass(pass_of(Coefficients::kGradient, targets));
  const PassResult b = flipped.pass(pass_of(Coefficients::kGradient, targets));
  for (int64_t block = 0; block < open.depth; ++block) {
    CHECK(relative_error(a.at(block, "U"), b.at(block, "U")) < 1e-4);
    relu_change = std::max(relu_change, relative_error(a.at(block, "U_relu"), b.at(block, "U_relu")));
  }
  CHECK(relu_change > 0.05);
}

TEST_CASE("a batch gives exactly what its images give alone, and twice the same") {
  const Case c = one_case("daam_deeper");
  const OpenFlow both(c);
  Case first = c;
  first.arrays["image"] = rows(c.array("image"), 0, 1);
  const OpenFlow alone(first);
  const auto classes = info(*both.model).classes;
  for (const Coefficients kind : {Coefficients::kGradient, Coefficients::kClassRow, Coefficients::kDirect}) {
    const FlowPass pass = pass_of(kind, {one_logit(classes, 2)});
    const PassResult many = both.pass(pass), again = both.pass(pass), one = alone.pass(pass);
    for (int64_t block = 0; block < both.depth; ++block) {
      CHECK(many.at(block, "U").data == again.at(block, "U").data);
      const Array of_batch = rows(at_index(many.at(block, "U"), 0), 0, 1);
      CHECK(relative_error(of_batch, at_index(one.at(block, "U"), 0)) < 1e-5);
    }
  }
}
