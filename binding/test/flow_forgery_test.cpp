// The derivatives of the detector's own decision against float64 autograd and against finite differences of p.
#include <thread>

#include "engine/flow_seeds.h"
#include "engine/model.h"
#include "reference.h"

#undef CHECK  // torch's own, which ends the process
#include <doctest/doctest.h>

namespace kfd::test {
namespace {

using engine::Model;
using engine::TargetSeeds;

// A detector, and what its forward pass leaves at the taps.
struct Taps {
  std::shared_ptr<Model> model;
  std::vector<at::Tensor> tokens;  // (B,N,D) a tap
  at::Tensor p, g;                 // (B,2), (B,C)
  int64_t height = 0, width = 0;

  const engine::KfdHeads& heads() const { return *model->heads; }
  TargetSeeds forgery() const {
    const engine::TokenStem& stem = model->vit->stem();
    return engine::forgery_seeds(heads(), tokens, stem.prefix_tokens(), stem.grid_height(), stem.grid_width(), height,
                                 width);
  }
};

at::Tensor to_tensor(const engine::Array& array) { return at::tensor(array.data).view(array.shape); }

Taps taps_of(const Case& c) {
  Taps taps;
  taps.model = engine::load_model(c.model("scripted"), options_of(c, engine::ModelKind::kKfd));
  const engine::Array& image = c.array("image");
  taps.height = image.shape[2];
  taps.width = image.shape[3];
  engine::Request request = tensor_request(image);
  request.hooks.tokens = taps.heads().taps();
  request.intermediates = true;
  const auto executor = one_lane();
  const engine::Result result = run(*executor, taps.model, std::move(request));
  for (const int64_t block : taps.heads().taps()) {
    taps.tokens.push_back(to_tensor(get(result, "tokens." + std::to_string(block))));
  }
  taps.p = to_tensor(get(result, "p"));
  taps.g = to_tensor(get(result, "g"));
  return taps;
}

// p[:,1] (B) when the taps' tokens are these.
at::Tensor forged_share(const Taps& taps, const std::vector<at::Tensor>& tokens) {
  const c10::InferenceMode inference;
  const engine::TokenStem& stem = taps.model->vit->stem();
  std::vector<engine::KfdHeads::Level> levels;
  for (size_t i = 0; i < tokens.size(); ++i) {
    levels.push_back(taps.heads().level(i, tokens[i], stem.prefix_tokens(), stem.grid_height(), stem.grid_width(),
                                        taps.height, taps.width));
  }
  return taps.heads().classify(levels).select(1, 1).clone();
}

double relative(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

// (f(+step) - f(-step)) / 2 step against the derivative's own prediction, per image.
double finite_difference_error(const at::Tensor& above, const at::Tensor& below, const at::Tensor& predicted,
                               double step) {
  return relative((above - below) / (2 * step), predicted);
}

}  // namespace

TEST_CASE("forgery seeds: dp/dx at every tap is autograd's in float64") {
  // The trained classifier max-pools smooth maps: where two values nearly tie, float32 takes the other branch.
  // PyTorch's own float32 autograd is off by the same 0.7 % of the maximum.
  using NamedTolerance = std::pair<const char*, double>;
  for (const auto& [name, tolerance] :
       {NamedTolerance{"daam_kfd", 1e-4}, {"daam_kfd_wide", 1e-4}, {"daam_trained", 1e-2}}) {
    CAPTURE(name);
    const Case c = one_case(name);
    const Taps taps = taps_of(c);
    const TargetSeeds target = taps.forgery();
    CHECK(relative(target.y, taps.p.select(1, 1)) <= 1e-6);
    REQUIRE(target.seeds.size() == taps.tokens.size());
    for (size_t i = 0; i < target.seeds.size(); ++i) {
      const engine::BlockSeed& seed = target.seeds[i];
      CHECK(seed.block == taps.heads().taps()[i]);
      CHECK(seed.rows.sizes() == taps.tokens[i].sizes());
      CHECK_FALSE(seed.rows.requires_grad());
      const engine::Array expected = rows(c.array("seed." + std::to_string(seed.block)), 0, 1);  // [1,B,N,D]
      CHECK(relative(seed.rows, to_tensor(expected).squeeze(0)) <= tolerance);
    }
  }
}

TEST_CASE("forgery seeds: finite differences of p") {
  const Taps taps = taps_of(one_case("kfd"));
  const TargetSeeds target = taps.forgery();
  at::manual_seed(3);
  const double step = 1e-3;
  at::Tensor predicted = at::zeros_like(target.y);
  std::vector<at::Tensor> above, below;
  for (size_t i = 0; i < taps.tokens.size(); ++i) {
    // random, but uphill everywhere: p is float32, and its change must stand out from rounding
    const at::Tensor direction = at::rand_like(taps.tokens[i]) * target.seeds[i].rows.sign();
    predicted += (target.seeds[i].rows * direction).sum({1, 2});
    above.push_back(taps.tokens[i] + step * direction);
    below.push_back(taps.tokens[i] - step * direction);
  }
  const double error = finite_difference_error(forged_share(taps, above), forged_share(taps, below), predicted, step);
  CHECK(error <= 2e-3);
}

TEST_CASE("forgery seeds: prefix tokens have none, and each image has its own") {
  const Taps both = taps_of(one_case("kfd"));
  const TargetSeeds target = both.forgery();
  for (int64_t image = 0; image < 2; ++image) {
    Taps one = both;
    for (at::Tensor& tokens : one.tokens) tokens = tokens.slice(0, image, image + 1);
    const TargetSeeds alone = one.forgery();
    for (size_t i = 0; i < alone.seeds.size(); ++i) {
      CHECK(relative(target.seeds[i].rows.slice(0, image, image + 1), alone.seeds[i].rows) <= 1e-5);
      CHECK(alone.seeds[i].rows.select(1, 0).abs().max().item<double>() == 0);
    }
  }
}

TEST_CASE("class-token direction: the last tap's adapter, where the encoder's output has another width") {
  const Case c = one_case("daam_kfd");
  const Taps taps = taps_of(c);
  REQUIRE(taps.g.size(1) != taps.heads().class_embeddings().size(1));
  const TargetSeeds target = engine::class_token_forgery_seeds(taps.heads(), taps.tokens, taps.g);
  CHECK_FALSE(target.head_output.defined());
  REQUIRE(target.seeds.size() == 1);
  const engine::BlockSeed& seed = target.seeds.front();
  CHECK(seed.block == taps.heads().last_tap());
  CHECK(seed.rows.sizes() == at::IntArrayRef({2, 1, taps.tokens.back().size(2)}));

  const at::Tensor expected = to_tensor(rows(c.array("seed." + std::to_string(seed.block)), 1, 1)).squeeze(0);
  CHECK(relative(seed.rows, expected.slice(1, 0, 1)) <= 1e-4);

  // finite differences of the definition, in float64
  const auto value = [&](const at::Tensor& tokens) {
    const c10::InferenceMode inference;
    const at::Tensor c = taps.heads().adapt(taps.tokens.size() - 1, tokens.select(1, 0)).to(at::kDouble);
    const at::Tensor e = taps.heads().class_embeddings().to(at::kDouble);
    return (taps.heads().logit_scale() * at::matmul(c / c.norm(2, -1, true), e[1] - e[0])).clone();
  };
  CHECK(relative(target.y.to(at::kDouble), value(taps.tokens.back())) <= 1e-5);
  at::manual_seed(4);
  const double step = 1e-3;
  const at::Tensor direction = at::randn_like(taps.tokens.back());
  const at::Tensor predicted = (seed.rows * direction.slice(1, 0, 1)).sum({1, 2}).to(at::kDouble);
  const double error = finite_difference_error(value(taps.tokens.back() + step * direction),
                                               value(taps.tokens.back() - step * direction), predicted, step);
  CHECK(error <= 2e-3);
}

TEST_CASE("class-token direction: the encoder's own output, where its width is the embeddings'") {
  const Taps taps = taps_of(one_case("kfd"));
  at::manual_seed(5);
  const at::Tensor embeddings = taps.heads().class_embeddings();
  const at::Tensor g = 3 * at::randn({2, embeddings.size(1)});
  const TargetSeeds target = engine::class_token_forgery_seeds(taps.heads(), taps.tokens, g);
  CHECK(target.seeds.empty());
  REQUIRE(target.head_output.defined());
  // s (d - u <u,d>) / |g| with u = g / |g| and d = E_1 - E_0
  const at::Tensor unit = g / g.norm(2, -1, true);
  const at::Tensor difference = (embeddings[1] - embeddings[0]).unsqueeze(0);
  const double scale = taps.heads().logit_scale();
  const at::Tensor along = (unit * difference).sum(-1, true);
  CHECK(relative(target.y, scale * along.squeeze(-1)) <= 1e-5);
  CHECK(relative(target.head_output, scale * (difference - unit * along) / g.norm(2, -1, true)) <= 1e-5);
}

TEST_CASE("forgery seeds leave this thread and the others in their inference mode") {
  const Taps taps = taps_of(one_case("kfd"));
  std::jthread lane([&] {
    const c10::InferenceMode inference;
    for (int i = 0; i < 3; ++i) forged_share(taps, taps.tokens);
    CHECK(c10::InferenceMode::is_enabled());
  });
  const c10::InferenceMode inference;
  const at::Tensor first = taps.forgery().seeds.front().rows;
  CHECK(c10::InferenceMode::is_enabled());
  CHECK_FALSE(at::GradMode::is_enabled());
  CHECK(at::equal(first, taps.forgery().seeds.front().rows));
}

}  // namespace kfd::test
