// Outputs and hooks against PyTorch, for every recognised kind of vision transformer and for the KFD detector.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "reference.h"

using namespace kfd::engine;
using namespace kfd::test;

namespace {

std::vector<int64_t> every_block(int64_t depth) {
  std::vector<int64_t> blocks;
  for (int64_t b = 0; b < depth; ++b) {
    blocks.push_back(b);
  }
  return blocks;
}

Hooks all_hooks(const Case& c) {
  Hooks hooks;
  hooks.tokens = every_block(c.number("depth"));
  if (c.number("class_token") == 1) {
    hooks.class_token = hooks.class_attention = hooks.prefix_mass = true;
    if (c.number("contribution") == 1) {
      hooks.direction = c.array("direction").data;
    }
  }
  return hooks;
}

void check_close(const Result& result, const std::string& name, const Array& expected) {
  CAPTURE(name);
  const double error = relative_error(get(result, name), expected);
  CHECK(error <= settings().tolerance());
}

void check_info(const Case& c, const std::string& model, const ModelInfo& info) {
  CHECK(info.depth == c.number("depth"));
  CHECK(info.width == c.number("dim"));
  CHECK(info.heads == c.number("heads"));
  CHECK(info.classes == c.number("classes"));
  CHECK(info.prefix_tokens == c.number("prefix_tokens"));
  CHECK(info.activation == c.expected("activation"));
  CHECK(info.layer_norm_eps == doctest::Approx(std::stod(c.expected("eps"))));
  CHECK(info.execution.rfind(c.expected("execution"), 0) == 0);
  CHECK(info.verification_error <= settings().tolerance());
  CHECK((info.warnings.empty() == (info.execution != "black-box-blocks")));
  const auto [begin, end] = c.expectations.equal_range("feature");
  std::vector<std::string> expected;
  for (auto feature = begin; feature != end; ++feature) {
    expected.push_back(feature->second);
  }
  std::vector<std::string> found = info.features;
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  CAPTURE(model);
  CHECK(found == expected);
}

double dot(const float* a, const std::vector<float>& u) {
  double sum = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(u[i]);
  }
  return sum;
}

// spec/daam.md: rows of the softmax sum to 1; I1/I2 along u: contributions and the projection's bias make up the
// attention branch's update of the class token; I3: all updates make up the class token's way through the blocks.
void check_identities(const Case& c, const Result& result) {
  const Array& attention = get(result, "class_attention");
  const int64_t L = attention.shape[0], B = attention.shape[1], H = attention.shape[2], N = attention.shape[3];
  for (int64_t row = 0; row < L * B * H; ++row) {
    double sum = 0;
    for (int64_t n = 0; n < N; ++n) {
      sum += static_cast<double>(attention.data[static_cast<size_t>(row * N + n)]);
    }
    CHECK(std::abs(sum - 1) <= settings().tolerance());
  }
  if (find(result.arrays, "contribution") == nullptr) {
    return;
  }
  const auto& u = c.array("direction").data;
  const auto D = static_cast<int64_t>(u.size());
  const float* contribution = get(result, "contribution").data.data();
  const float* update = c.array("terms.attention_update").data.data();
  const float* bias = c.array("terms.projection_bias").data.data();
  const float* mlp = c.array("terms.mlp_update").data.data();
  const float* start = c.array("expected.tokens.in").data.data();
  const float* token = get(result, "class_token").data.data();
  for (int64_t b = 0; b < B; ++b) {
    double stream = dot(start + b * N * D, u);
    double largest = 1;
    for (int64_t l = 0; l < L; ++l) {
      double sum = dot(bias + l * D, u);
      for (int64_t n = 0; n < N; ++n) {
        sum += static_cast<double>(contribution[(l * B + b) * N + n]);
      }
      const double expected = dot(update + (l * B + b) * D, u);
      largest = std::max(largest, std::abs(expected));
      CHECK(std::abs(sum - expected) <= settings().tolerance() * largest);
      stream += sum + dot(mlp + (l * B + b) * D, u);
      const double residual = dot(token + (l * B + b) * D, u);
      largest = std::max(largest, std::abs(residual));
      CHECK(std::abs(stream - residual) <= settings().tolerance() * largest);
    }
  }
}

void check_hooks(const Case& c, Executor& executor, const std::shared_ptr<Model>& model) {
  Request request = tensor_request(c.array("image"));
  request.hooks = all_hooks(c);
  const Result result = run(executor, model, request);
  check_close(result, "logits", c.array("expected.logits"));
  for (const int64_t b : request.hooks.tokens) {
    const std::string name = "tokens." + std::to_string(b);
    check_close(result, name, c.array("expected." + name));
  }
  if (!request.hooks.class_token) {
    return;
  }
  for (const char* name : {"class_token", "class_attention", "prefix_mass"}) {
    check_close(result, name, c.array(std::string("expected.") + name));
  }
  check_identities(c, result);
  if (!request.hooks.direction.empty()) {
    check_close(result, "contribution", c.array("expected.contribution"));
    request.hooks = {};
    request.hooks.direction = c.array("directions").data;
    check_close(run(executor, model, request), "contribution", c.array("expected.contribution_each"));
  }
}

}  // namespace

TEST_CASE("every kind of vision transformer agrees with PyTorch: outputs, hooks, identities") {
  const auto executor = one_lane();
  for (const Case& c : cases("vit_")) {
    for (const auto& [name, path] : c.models) {
      for (const bool disable_prepack : {false, true}) {
        CAPTURE(c.name);
        CAPTURE(name);
        CAPTURE(disable_prepack);
        ModelOptions options = options_of(c, ModelKind::kVit);
        options.disable_prepack = disable_prepack;
        const auto model = load_model(path, options);
        check_info(c, name, info(*model));
        if (disable_prepack) {
          CHECK(info(*model).execution != "own-blocks-prepacked");
        }
        check_hooks(c, *executor, model);
      }
    }
  }
}

TEST_CASE("prepacked linears are used on a CPU that has them") {
  if (settings().device != "cpu" || !runtime_info().has_prepacked_linear) {
    MESSAGE("this torch or device has no prepacked linears");
    return;
  }
  const Case c = one_case("vit_plain");
  CHECK(info(*load_model(c.model("scripted"), options_of(c, ModelKind::kVit))).execution == "own-blocks-prepacked");
}

TEST_CASE("a batch gives what its images give alone, and nothing but outputs without hooks") {
  const auto executor = one_lane();
  const Case c = one_case("vit_layer_scale_registers");
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kVit));
  const Result together = run(*executor, model, tensor_request(c.array("image")));
  CHECK(together.arrays.size() == 1);
  CHECK(together.timing.batch == 3);
  for (int64_t i = 0; i < 3; ++i) {
    const Result alone = run(*executor, model, tensor_request(rows(c.array("image"), i, 1)));
    CHECK(relative_error(get(alone, "logits"), rows(get(together, "logits"), i, 1)) <= settings().tolerance());
  }
}

TEST_CASE("a plain forward gives the same logits") {
  const auto executor = one_lane();
  for (const char* name : {"vit_plain", "vit_distilled"}) {
    const Case c = one_case(name);
    for (const auto& [model_name, path] : c.models) {
      CAPTURE(model_name);
      ModelOptions options = options_of(c, ModelKind::kVit);
      options.plain_forward = true;
      const auto model = load_model(path, options);
      CHECK(info(*model).execution == "plain-forward");
      check_close(run(*executor, model, tensor_request(c.array("image"))), "logits", c.array("expected.logits"));
    }
  }
}

TEST_CASE("unknown attention: outputs and tokens yes, attention hooks no") {
  const auto executor = one_lane();
  const Case c = one_case("refused_attention");
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kVit));
  CHECK(info(*model).execution == "black-box-blocks");
  REQUIRE_FALSE(info(*model).warnings.empty());
  CHECK(info(*model).warnings.front().find("relative_position_bias") != std::string::npos);
  Request request = tensor_request(c.array("image"));
  request.hooks.class_token = true;
  check_close(run(*executor, model, request), "logits", c.array("expected.logits"));
  request.hooks.class_attention = true;
  CHECK_THROWS_AS(run(*executor, model, request), Error);
}

TEST_CASE("KFD: outputs and every intermediate agree with PyTorch") {
  const auto executor = one_lane();
  for (const Case& c : cases("kfd")) {
    CAPTURE(c.name);
    const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kKfd));
    CHECK(info(*model).taps == std::vector<int64_t>{0, 2});
    CHECK(info(*model).classes == 2);
    const auto& features = info(*model).features;
    const bool own_locator = std::find(features.begin(), features.end(), "own-locator") != features.end();
    CHECK(own_locator == (c.name == "kfd"));
    CHECK(info(*model).warnings.empty());
    CHECK(info(*model).verification_error <= settings().tolerance());

    Request request = tensor_request(c.array("image"));
    const Result short_run = run(*executor, model, request);
    CHECK(short_run.arrays.size() == 2);
    check_close(short_run, "p", c.array("expected.p"));
    check_close(short_run, "map", c.array("expected.map"));

    request.intermediates = true;
    const Result result = run(*executor, model, request);
    for (const auto& [name, expected] : c.arrays) {
      if (name.rfind("expected.", 0) == 0) {
        check_close(result, name.substr(9), expected);
      }
    }
    CHECK(relative_error(get(result, "input"), c.array("image")) == 0);

    request.intermediates = false;
    request.hooks.class_attention = true;
    const Result hooked = run(*executor, model, request);
    CHECK(get(hooked, "class_attention").shape == std::vector<int64_t>{4, 2, 4, 65});
    check_close(hooked, "p", c.array("expected.p"));

    ModelOptions options = options_of(c, ModelKind::kKfd);
    options.plain_forward = true;
    const auto plain = load_model(c.model("scripted"), options);
    check_close(run(*executor, plain, tensor_request(c.array("image"))), "map", c.array("expected.map"));
  }
}

TEST_CASE("a module of unknown make returns its tuple") {
  const auto executor = one_lane();
  const Case c = one_case("module");
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kModule));
  const Result result = run(*executor, model, tensor_request(c.array("image")));
  check_close(result, "output0", c.array("expected.output0"));
  check_close(result, "output1", c.array("expected.output1"));
}
