// Files and requests that must be refused, each with a code and a message that says what to do.
#include <doctest/doctest.h>

#include <filesystem>

#include "reference.h"

using namespace kfd::engine;
using namespace kfd::test;

namespace {

struct Refusal {
  ErrorCode code = ErrorCode::kInternal;
  std::string message, hint;
};

template <typename Function>
Refusal refusal_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return {error.code(), error.what(), error.hint()};
  }
  FAIL("nothing was thrown");
  return {};
}

Refusal refused_load(const std::string& path, const ModelOptions& options) {
  return refusal_of([&] { load_model(path, options); });
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("files that cannot be used say so") {
  const Case c = one_case("refused");
  ModelOptions options = options_of(c, ModelKind::kVit);
  const std::string folder = std::filesystem::path(c.model("scripted")).parent_path().string();

  const Refusal frozen = refused_load(c.model("frozen"), options);
  CHECK(frozen.code == ErrorCode::kModelUnsupported);
  CHECK(contains(frozen.message, "frozen"));
  CHECK(contains(frozen.hint, "preserved_attrs"));

  const Refusal other = refused_load(c.model("other"), options);
  CHECK(other.code == ErrorCode::kModelUnsupported);
  CHECK(contains(other.message, "patch_embed"));

  const Refusal headless = refused_load(c.model("traced"), options);
  CHECK(headless.code == ErrorCode::kModelMismatch);
  CHECK(contains(headless.hint, "vit.heads"));

  const Refusal sneaky = refused_load(c.model("sneaky"), options);
  CHECK(sneaky.code == ErrorCode::kModelUnsupported);
  CHECK(contains(sneaky.message, "own forward"));

  CHECK(refused_load(folder + "/garbage.pt", options).code == ErrorCode::kModelLoad);
  CHECK(refused_load(folder + "/truncated.pt", options).code == ErrorCode::kModelLoad);
  CHECK(refused_load(folder + "/absent.pt", options).code == ErrorCode::kModelLoad);
  for (const char* name : {"/garbage.pt", "/truncated.pt"}) {
    CHECK_FALSE(contains(refused_load(folder + name, options).message, "frame #"));
  }
}

TEST_CASE("options that contradict the module are refused") {
  const Case c = one_case("refused");
  const ModelOptions good = options_of(c, ModelKind::kVit);
  const auto with = [&](auto change) {
    ModelOptions options = good;
    change(options);
    return options;
  };
  const auto code = [&](const char* model, const ModelOptions& options) {
    return refused_load(c.model(model), options).code;
  };
  CHECK(code("scripted", with([](auto& o) { o.heads = 3; })) == ErrorCode::kModelMismatch);
  CHECK(code("traced", with([](auto& o) { o.heads = 7; })) == ErrorCode::kModelMismatch);
  CHECK(code("traced", with([](auto& o) { o.heads = -1; })) == ErrorCode::kModelMismatch);
  CHECK(code("scripted", with([](auto& o) { o.activation = "quick_gelu"; })) == ErrorCode::kModelMismatch);
  CHECK(code("scripted", with([](auto& o) { o.activation = "swish"; })) == ErrorCode::kModelMismatch);
  CHECK(code("scripted", with([](auto& o) { o.prefix_tokens = 2; })) == ErrorCode::kModelMismatch);
  CHECK(code("scripted", with([](auto& o) { o.layer_norm_eps = 1e-3; })) == ErrorCode::kModelMismatch);
  CHECK(code("scripted", with([](auto& o) { o.input.width = 96; })) == ErrorCode::kModelMismatch);
  CHECK(code("scripted", with([](auto& o) { o.kind = ModelKind::kKfd; })) == ErrorCode::kModelUnsupported);
  CHECK(code("scripted", with([](auto& o) { o.device = "abacus"; })) == ErrorCode::kDevice);
  CHECK(code("scripted", with([](auto& o) { o.device = "cuda:99"; })) == ErrorCode::kDevice);
  // a wrong head count that divides the width is only caught by comparing with the module's own blocks
  const auto wrong = load_model(c.model("traced"), with([](auto& o) { o.heads = 8; }));
  CHECK(info(*wrong).execution == "black-box-blocks");
  const auto executor = one_lane();
  Request request = tensor_request({{1, 3, 48, 48}, std::vector<float>(3 * 48 * 48)});
  request.hooks.class_attention = true;
  CHECK(refusal_of([&] { run(*executor, wrong, request); }).code == ErrorCode::kModelUnsupported);
}

TEST_CASE("malformed requests are refused") {
  const auto executor = one_lane();
  const Case c = one_case("vit_plain");
  const auto model = load_model(c.model("scripted"), options_of(c, ModelKind::kVit));
  const Request good = tensor_request(rows(c.array("image"), 0, 1));
  const auto code = [&](auto change) {
    Request request = good;
    change(request);
    return refusal_of([&] { run(*executor, model, request); }).code;
  };
  CHECK(code([](Request& r) { r.tensor = {}; }) == ErrorCode::kInvalidArgument);
  CHECK(code([](Request& r) { r.tensor.data.pop_back(); }) == ErrorCode::kInvalidArgument);
  CHECK(code([](Request& r) { r.tensor.shape = {1, 3, 24, 96}; }) == ErrorCode::kInvalidArgument);
  CHECK(code([](Request& r) { r.hooks.tokens = {3}; }) == ErrorCode::kInvalidArgument);
  CHECK(code([](Request& r) { r.hooks.tokens = {-1}; }) == ErrorCode::kInvalidArgument);
  CHECK(code([](Request& r) { r.hooks.direction = {1.0F}; }) == ErrorCode::kInvalidArgument);
  CHECK(code([](Request& r) { r.intermediates = true; }) == ErrorCode::kInvalidArgument);
  CHECK(refusal_of([&] { run(*executor, nullptr, good); }).code == ErrorCode::kDisposed);

  ModelOptions options = options_of(c, ModelKind::kVit);
  options.plain_forward = true;
  const auto plain = load_model(c.model("scripted"), options);
  Request hooked = good;
  hooked.hooks.class_token = true;
  CHECK(refusal_of([&] { run(*executor, plain, hooked); }).code == ErrorCode::kInvalidArgument);
  CHECK(refusal_of([&] { executor->walk(plain, good); }).code == ErrorCode::kInvalidArgument);

  const Case pooled = one_case("vit_no_class_token");
  const auto without_class = load_model(pooled.model("scripted"), options_of(pooled, ModelKind::kVit));
  Request row = tensor_request(pooled.array("image"));
  row.hooks.class_attention = true;
  CHECK(refusal_of([&] { run(*executor, without_class, row); }).code == ErrorCode::kModelUnsupported);
  const Case normed = one_case("vit_attention_norm");
  const auto with_norm = load_model(normed.model("scripted"), options_of(normed, ModelKind::kVit));
  Request direction = tensor_request(normed.array("image"));
  direction.hooks.direction = normed.array("direction").data;
  CHECK(refusal_of([&] { run(*executor, with_norm, direction); }).code == ErrorCode::kModelUnsupported);
}
