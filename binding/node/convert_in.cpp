// JavaScript -> engine.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "convert.h"
#include "errors.h"
#include "object_reader.h"

namespace kfd::node {

namespace {

constexpr int64_t kLongestSide = 1 << 20;  // pixels
constexpr int64_t kMostLanes = 1024;
constexpr int64_t kMostBytes = int64_t{1} << 46;
constexpr int64_t kMostBlocks = 4096;
constexpr int64_t kLargestCount = std::numeric_limits<int32_t>::max();

// Refuses memory that could move or vanish while a lane reads it.
void require_fixed_buffer(const Napi::TypedArray& array, const std::string& name) {
  const Napi::Value buffer = array.As<Napi::Object>().Get("buffer");
  if (!buffer.IsArrayBuffer()) throw argument_error("memory that is not shared between threads", name, array);
  if (buffer.As<Napi::ArrayBuffer>().IsDetached()) {
    throw argument_error("memory that has not been transferred away", name, array);
  }
  const Napi::Value resizable = buffer.As<Napi::Object>().Get("resizable");
  if (resizable.IsBoolean() && resizable.As<Napi::Boolean>().Value()) {
    throw argument_error("memory of fixed length (the ArrayBuffer is resizable)", name, array);
  }
}

std::vector<float> floats_from(const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    throw argument_error("a Float32Array", name, value);
  }
  const auto array = value.As<Napi::Float32Array>();
  require_fixed_buffer(array, name);
  return std::vector<float>(array.Data(), array.Data() + array.ElementLength());
}

PinnedImage pinned_image(const ObjectReader& reader) {
  PinnedImage result;
  engine::ImageInput& image = result.image;
  image.width = reader.integer("width", 1, kLongestSide);
  image.height = reader.integer("height", 1, kLongestSide);
  // The pointer is taken last: a getter of the caller's object may run code of its own before.
  const Napi::Value data = reader.get("data");
  const std::string name = reader.path("data");
  if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw argument_error("a Uint8Array of RGB pixels", name, data);
  }
  const auto pixels = data.As<Napi::Uint8Array>();
  require_fixed_buffer(pixels, name);
  const int64_t expected = image.width * image.height * 3;
  if (static_cast<int64_t>(pixels.ElementLength()) != expected) {
    throw argument_error("width x height x 3 = " + std::to_string(expected) + " bytes", name, data);
  }
  image.data = pixels.Data();
  result.pin = Napi::Persistent(data.As<Napi::Object>());
  return result;
}

engine::Affine affine_from(const std::vector<double>& numbers) {
  engine::Affine affine{};
  std::copy_n(numbers.begin(), affine.size(), affine.begin());
  return affine;
}

engine::TensorInput tensor_from(const ObjectReader& reader) {
  engine::TensorInput tensor;
  const std::vector<int64_t> shape = reader.integers("shape", 1, kLongestSide);
  if (shape.size() != 4 || shape[1] != 3) {
    throw argument_error("a shape [B, 3, H, W]", reader.path("shape"), reader.get("shape"));
  }
  std::copy_n(shape.begin(), 4, tensor.shape.begin());
  tensor.data = floats_from(reader.get("data"), reader.path("data"));
  const double expected = static_cast<double>(shape[0]) * 3 * static_cast<double>(shape[2] * shape[3]);
  if (static_cast<double>(tensor.data.size()) != expected) {
    throw argument_error("as many values as the shape says", reader.path("data"), reader.get("data"));
  }
  return tensor;
}

engine::Hooks hooks_from(const ObjectReader& reader) {
  engine::Hooks hooks;
  if (reader.has("classToken")) hooks.class_token = reader.boolean("classToken");
  if (reader.has("classAttention")) hooks.class_attention = reader.boolean("classAttention");
  if (reader.has("prefixMass")) hooks.prefix_mass = reader.boolean("prefixMass");
  if (reader.has("tokens")) hooks.tokens = reader.integers("tokens", 0, kMostBlocks);
  if (reader.has("direction")) hooks.direction = floats_from(reader.get("direction"), reader.path("direction"));
  return hooks;
}

engine::InputSpec input_spec(const ObjectReader& reader) {
  engine::InputSpec spec;
  spec.width = reader.integer("width", 1, kLongestSide);
  spec.height = reader.integer("height", 1, kLongestSide);
  const std::string fit = reader.one_of("fit", {"stretch", "crop", "letterbox"});
  spec.fit = fit == "stretch" ? engine::Fit::kStretch : fit == "crop" ? engine::Fit::kCrop : engine::Fit::kLetterbox;
  const std::vector<double> mean = reader.numbers("mean", 3);
  const std::vector<double> std = reader.numbers("std", 3);
  for (size_t c = 0; c < 3; ++c) {
    if (std[c] <= 0) throw argument_error("three positive numbers", reader.path("std"), reader.get("std"));
    spec.mean[c] = static_cast<float>(mean[c]);
    spec.std[c] = static_cast<float>(std[c]);
  }
  return spec;
}

std::vector<float> finite_floats_from(const Napi::Value& value, const std::string& name) {
  std::vector<float> floats = floats_from(value, name);
  if (floats.empty() ||
      !std::all_of(floats.begin(), floats.end(), [](float number) { return std::isfinite(number); })) {
    throw argument_error("a Float32Array of finite numbers", name, value);
  }
  return floats;
}

engine::FlowTarget flow_target_from(const ObjectReader& reader) {
  using Kind = engine::FlowTarget::Kind;
  engine::FlowTarget target;
  const std::string kind = reader.one_of("kind", {"logits", "feature", "forgery", "class-token-forgery"});
  target.kind = kind == "logits"    ? Kind::kLogits
                : kind == "feature" ? Kind::kFeature
                : kind == "forgery" ? Kind::kForgery
                                    : Kind::kClassTokenForgery;
  const bool is_weighted = target.kind == Kind::kLogits || target.kind == Kind::kFeature;
  if (is_weighted) {
    target.weights = finite_floats_from(reader.get("weights"), reader.path("weights"));
  } else if (reader.has("weights")) {
    throw argument_error("no weights beside the kind " + kind, reader.path("weights"), reader.get("weights"));
  }
  return target;
}

const std::initializer_list<std::string_view> kImageKeys = {"data", "width", "height"};
const std::initializer_list<std::string_view> kInputKeys = {"width", "height", "fit", "mean", "std"};

}  // namespace

engine::ExecutorOptions executor_options_from(const Napi::Value& value) {
  const ObjectReader reader(value, "options",
                            {"lanes", "threadsPerLane", "maxBatch", "maxQueueItems", "maxQueueBytes"});
  engine::ExecutorOptions options;
  options.lanes = reader.integer("lanes", 1, kMostLanes);
  options.threads_per_lane = reader.integer("threadsPerLane", 1, kMostLanes);
  options.max_batch = reader.integer("maxBatch", 1, kMostLanes);
  options.max_queue_items = reader.integer("maxQueueItems", 1, kLargestCount);
  options.max_queue_bytes = reader.integer("maxQueueBytes", 1, kMostBytes);
  return options;
}

engine::InputSpec input_spec_from(const Napi::Value& value, const std::string& name) {
  return input_spec(ObjectReader(value, name, kInputKeys));
}

engine::ModelOptions model_options_from(const Napi::Value& value) {
  const ObjectReader reader(value, "options",
                            {"kind", "device", "precision", "input", "heads", "layerNormEps", "activation",
                             "prefixTokens", "taps", "logitScale", "promptsPath", "plainForward", "disablePrepack"});
  engine::ModelOptions options;
  const std::string kind = reader.one_of("kind", {"vit", "kfd", "module"});
  options.kind = kind == "vit"   ? engine::ModelKind::kVit
                 : kind == "kfd" ? engine::ModelKind::kKfd
                                 : engine::ModelKind::kModule;
  if (reader.has("device")) options.device = reader.string("device");
  if (reader.has("precision")) reader.one_of("precision", {"fp32"});
  if (reader.has("input")) options.input = input_spec(reader.object("input", kInputKeys));
  if (reader.has("heads")) options.heads = reader.integer("heads", 1, kMostBlocks);
  if (reader.has("layerNormEps")) options.layer_norm_eps = reader.number("layerNormEps");
  if (reader.has("activation")) {
    options.activation = reader.one_of("activation", {"gelu", "gelu_tanh", "quick_gelu"});
  }
  if (reader.has("prefixTokens")) options.prefix_tokens = reader.integer("prefixTokens", 0, kMostBlocks);
  if (reader.has("taps")) options.taps = reader.integers("taps", 0, kMostBlocks);
  if (reader.has("logitScale")) options.logit_scale = reader.number("logitScale");
  if (reader.has("promptsPath")) {
    options.prompts_path = reader.string("promptsPath");
    if (options.prompts_path.empty()) {
      throw argument_error("the path of a file", reader.path("promptsPath"), reader.get("promptsPath"));
    }
  }
  if (reader.has("plainForward")) options.plain_forward = reader.boolean("plainForward");
  if (reader.has("disablePrepack")) options.disable_prepack = reader.boolean("disablePrepack");
  return options;
}

PinnedImage image_from(const Napi::Value& image, const Napi::Value& crop) {
  engine::Affine affine{};
  const bool has_crop = !crop.IsUndefined();
  if (has_crop) {
    const Napi::Object holder = Napi::Object::New(image.Env());
    holder.Set("crop", crop);
    affine = affine_from(ObjectReader(holder, "argument", {"crop"}).numbers("crop", 6));
  }
  PinnedImage result = pinned_image(ObjectReader(image, "image", kImageKeys));
  result.image.has_crop = has_crop;
  result.image.crop = affine;
  return result;
}

engine::FlowPass flow_pass_from(const Napi::Value& value) {
  const ObjectReader reader(value, "pass", {"coefficients", "allRows", "perHead", "baselines", "targets"});
  engine::FlowPass pass;
  const std::string coefficients = reader.one_of("coefficients", {"gradient", "class-row", "direct"});
  pass.coefficients = coefficients == "gradient"    ? engine::Coefficients::kGradient
                      : coefficients == "class-row" ? engine::Coefficients::kClassRow
                                                    : engine::Coefficients::kDirect;
  if (reader.has("allRows")) pass.all_rows = reader.boolean("allRows");
  if (reader.has("perHead")) pass.per_head = reader.boolean("perHead");
  if (reader.has("baselines")) pass.baselines = reader.boolean("baselines");
  const Napi::Value targets = reader.get("targets");
  if (!targets.IsArray() || targets.As<Napi::Array>().Length() == 0) {
    throw argument_error("an array of at least one target", reader.path("targets"), targets);
  }
  const auto array = targets.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::string name = reader.path("targets") + "[" + std::to_string(i) + "]";
    pass.targets.push_back(flow_target_from(ObjectReader(array.Get(i), name, {"kind", "weights"})));
  }
  return pass;
}

engine::FlowOptions flow_options_from(const Napi::Value& value) {
  engine::FlowOptions options;
  if (value.IsUndefined()) return options;
  const ObjectReader reader(value, "options", {"full"});
  if (reader.has("full")) options.full = reader.boolean("full");
  return options;
}

PinnedRequest request_from(const Napi::Value& value) {
  const ObjectReader reader(value, "request",
                            {"image", "crop", "tensor", "hooks", "intermediates", "prompts", "returnInput"});
  PinnedRequest result;
  engine::Request& request = result.request;
  if (reader.has("hooks")) {
    request.hooks =
        hooks_from(reader.object("hooks", {"classToken", "classAttention", "prefixMass", "tokens", "direction"}));
  }
  if (reader.has("intermediates")) request.intermediates = reader.boolean("intermediates");
  if (reader.has("prompts")) request.prompts = reader.boolean("prompts");
  if (reader.has("returnInput")) request.return_input = reader.boolean("returnInput");
  if (reader.has("image") == reader.has("tensor")) {
    throw argument_error("exactly one of image and tensor", "request", value);
  }
  if (reader.has("tensor")) {
    if (reader.has("crop")) throw argument_error("no crop beside a tensor", "request.crop", reader.get("crop"));
    request.tensor = tensor_from(reader.object("tensor", {"shape", "data"}));
    return result;
  }
  engine::Affine affine{};
  const bool has_crop = reader.has("crop");
  if (has_crop) affine = affine_from(reader.numbers("crop", 6));
  PinnedImage pinned = pinned_image(reader.object("image", kImageKeys));
  request.image = pinned.image;
  request.image.has_crop = has_crop;
  request.image.crop = affine;
  result.pin = std::move(pinned.pin);
  return result;
}

}  // namespace kfd::node
