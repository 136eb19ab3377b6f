#include "object_reader.h"

#include <algorithm>
#include <cmath>

#include "errors.h"

namespace kfd::node {

namespace {

std::string joined(std::initializer_list<std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::string range_text(int64_t least, int64_t most) {
  return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
}

int64_t to_integer(const Napi::Value& value, int64_t least, int64_t most, const std::string& name) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    // Compared as doubles: every bound used here is exact in one.
    if (std::nearbyint(number) == number && number >= static_cast<double>(least) &&
        number <= static_cast<double>(most)) {
      return static_cast<int64_t>(number);
    }
  }
  throw argument_error(range_text(least, most), name, value);
}

double to_number(const Napi::Value& value, const std::string& name) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (std::isfinite(number)) return number;
  }
  throw argument_error("a finite number", name, value);
}

}  // namespace

ObjectReader::ObjectReader(const Napi::Value& value, std::string name,
                           std::initializer_list<std::string_view> known_keys)
    : name_(std::move(name)) {
  if (!value.IsObject() || value.IsArray() || value.IsFunction() || value.IsTypedArray()) {
    throw argument_error("an object", name_, value);
  }
  object_ = value.As<Napi::Object>();
  const Napi::Array keys = object_.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); ++i) {
    const Napi::Value key = keys.Get(i);
    const std::string text = key.ToString().Utf8Value();
    if (std::find(known_keys.begin(), known_keys.end(), text) == known_keys.end()) {
      throw argument_error("one of the keys " + joined(known_keys), "a key of " + name_, key);
    }
  }
}

bool ObjectReader::has(const char* key) const { return !object_.Get(key).IsUndefined(); }

Napi::Value ObjectReader::get(const char* key) const { return object_.Get(key); }

ObjectReader ObjectReader::object(const char* key, std::initializer_list<std::string_view> known_keys) const {
  return ObjectReader(get(key), path(key), known_keys);
}

int64_t ObjectReader::integer(const char* key, int64_t least, int64_t most) const {
  return to_integer(get(key), least, most, path(key));
}

double ObjectReader::number(const char* key) const { return to_number(get(key), path(key)); }

bool ObjectReader::boolean(const char* key) const {
  const Napi::Value value = get(key);
  if (!value.IsBoolean()) throw argument_error("true or false", path(key), value);
  return value.As<Napi::Boolean>().Value();
}

std::string ObjectReader::string(const char* key) const {
  const Napi::Value value = get(key);
  if (!value.IsString()) throw argument_error("a string", path(key), value);
  return value.As<Napi::String>().Utf8Value();
}

std::string ObjectReader::one_of(const char* key, std::initializer_list<std::string_view> allowed) const {
  const Napi::Value value = get(key);
  if (value.IsString()) {
    std::string text = value.As<Napi::String>().Utf8Value();
    if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return text;
  }
  throw argument_error("one of " + joined(allowed), path(key), value);
}

std::vector<int64_t> ObjectReader::integers(const char* key, int64_t least, int64_t most) const {
  const Napi::Value value = get(key);
  if (!value.IsArray()) throw argument_error("an array of integers", path(key), value);
  const auto array = value.As<Napi::Array>();
  std::vector<int64_t> result;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    result.push_back(to_integer(array.Get(i), least, most, path(key) + "[" + std::to_string(i) + "]"));
  }
  return result;
}

std::vector<double> ObjectReader::numbers(const char* key, size_t count) const {
  const Napi::Value value = get(key);
  if (!value.IsArray() || value.As<Napi::Array>().Length() != count) {
    throw argument_error("an array of " + std::to_string(count) + " numbers", path(key), value);
  }
  const auto array = value.As<Napi::Array>();
  std::vector<double> result;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    result.push_back(to_number(array.Get(i), path(key) + "[" + std::to_string(i) + "]"));
  }
  return result;
}

}  // namespace kfd::node
