#include "llm_convert.h"

#include <algorithm>

#include "errors.h"
#include "object_reader.h"

namespace kfd::node {

namespace {

constexpr int64_t kLargestCount = int64_t{1} << 24;
constexpr uint32_t kMostPieces = 1 << 16;

// A copy of a typed array of one element type.
template <class Array, class Element>
std::vector<Element> copy_of(const Napi::Value& value, napi_typedarray_type type, const std::string& expected,
                             const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw argument_error(expected, name, value);
  }
  const auto array = value.As<Array>();
  return std::vector<Element>(array.Data(), array.Data() + array.ElementLength());
}

std::vector<int32_t> tokens_from(const ObjectReader& reader, const char* key) {
  return copy_of<Napi::Int32Array, int32_t>(reader.get(key), napi_int32_array, "an Int32Array of token ids",
                                            reader.path(key));
}

llm::Piece piece_from(const Napi::Value& value, const std::string& name) {
  const ObjectReader reader(value, name, {"tokens", "rows", "placeholders"});
  if (!reader.has("rows")) {
    if (reader.has("placeholders")) throw argument_error("rows beside placeholders", name, value);
    return {tokens_from(reader, "tokens"), {}};
  }
  if (reader.has("tokens")) throw argument_error("either tokens or rows", name, value);
  llm::Piece piece{tokens_from(reader, "placeholders"),
                   copy_of<Napi::Float32Array, float>(reader.get("rows"), napi_float32_array,
                                                      "a Float32Array of embedding rows", reader.path("rows"))};
  // Without rows it would be taken for a piece of tokens.
  if (piece.rows.empty()) throw argument_error("at least one row", reader.path("rows"), reader.get("rows"));
  return piece;
}

}  // namespace

llm::LibraryOptions library_options_from(const Napi::Value& value) {
  const ObjectReader reader(value, "options", {"folder", "variant", "expectedVersion"});
  llm::LibraryOptions options;
  options.folder = reader.string("folder");
  if (reader.has("variant")) options.variant = reader.string("variant");
  if (reader.has("expectedVersion")) options.expected_version = reader.string("expectedVersion");
  return options;
}

llm::PrefixOptions prefix_options_from(const Napi::Value& value) {
  const ObjectReader reader(value, "options",
                            {"model", "adapter", "sequences", "contextSize", "threads", "flashAttention", "gpuLayers"});
  llm::PrefixOptions options;
  options.model = reader.string("model");
  if (reader.has("adapter")) {
    const ObjectReader adapter = reader.object("adapter", {"file", "scale"});
    options.adapter = adapter.string("file");
    if (options.adapter.empty()) throw argument_error("a path", adapter.path("file"), adapter.get("file"));
    if (adapter.has("scale")) options.adapter_scale = adapter.number("scale");
  }
  options.sequences = reader.integer("sequences", 1, kLargestCount);
  options.context_size = reader.integer("contextSize", 1, kLargestCount);
  options.threads = reader.integer("threads", 1, kLargestCount);
  if (reader.has("flashAttention")) options.flash_attention = reader.boolean("flashAttention");
  if (reader.has("gpuLayers")) options.gpu_layers = reader.integer("gpuLayers", 0, kLargestCount);
  return options;
}

llm::WriteRequest write_request_from(const Napi::Value& value) {
  const ObjectReader reader(value, "request", {"file", "pieces", "logits"});
  llm::WriteRequest request;
  request.file = reader.string("file");
  if (reader.has("logits")) request.logits = reader.boolean("logits");
  const Napi::Value pieces = reader.get("pieces");
  if (!pieces.IsArray()) throw argument_error("an array of pieces", reader.path("pieces"), pieces);
  const auto array = pieces.As<Napi::Array>();
  const uint32_t count = std::min(array.Length(), kMostPieces + 1);
  if (count > kMostPieces) throw argument_error("at most 65536 pieces", reader.path("pieces"), pieces);
  for (uint32_t i = 0; i < count; ++i) {
    request.pieces.push_back(piece_from(array.Get(i), reader.path("pieces") + "[" + std::to_string(i) + "]"));
  }
  return request;
}

Napi::Object to_js(Napi::Env env, const llm::LibraryInfo& info) {
  auto js = Napi::Object::New(env);
  js.Set("version", info.version);
  js.Set("path", info.path);
  auto devices = Napi::Array::New(env, info.devices.size());
  for (uint32_t i = 0; i < info.devices.size(); ++i) devices.Set(i, info.devices[i]);
  js.Set("devices", devices);
  return js;
}

Napi::Object to_js(Napi::Env env, const llm::PrefixInfo& info) {
  auto js = Napi::Object::New(env);
  js.Set("width", static_cast<double>(info.width));
  js.Set("vocabulary", static_cast<double>(info.vocabulary));
  js.Set("contextSize", static_cast<double>(info.context_size));
  return js;
}

Napi::Object to_js(Napi::Env env, const llm::Written& written) {
  auto js = Napi::Object::New(env);
  js.Set("positions", static_cast<double>(written.positions));
  js.Set("bytes", static_cast<double>(written.bytes));
  js.Set("decodeMs", written.decode_ms);
  if (!written.logits.empty()) {
    auto logits = Napi::Float32Array::New(env, written.logits.size());
    std::copy(written.logits.begin(), written.logits.end(), logits.Data());
    js.Set("logits", logits);
  }
  return js;
}

Napi::Int32Array to_js(Napi::Env env, const std::vector<int32_t>& tokens) {
  auto js = Napi::Int32Array::New(env, tokens.size());
  std::copy(tokens.begin(), tokens.end(), js.Data());
  return js;
}

}  // namespace kfd::node
