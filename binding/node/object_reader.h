// Reads plain JavaScript objects (options, requests) with uniform messages. A key that no reader knows is refused: a
// misspelt option must not be ignored.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "napi_setup.h"

namespace kfd::node {

class ObjectReader {
 public:
  // `name` is the path shown in messages, for example "request.image".
  ObjectReader(const Napi::Value& value, std::string name, std::initializer_list<std::string_view> known_keys);

  // True unless the key is missing or undefined.
  bool has(const char* key) const;
  Napi::Value get(const char* key) const;
  ObjectReader object(const char* key, std::initializer_list<std::string_view> known_keys) const;

  int64_t integer(const char* key, int64_t least, int64_t most) const;
  double number(const char* key) const;  // finite
  bool boolean(const char* key) const;
  std::string string(const char* key) const;
  std::string one_of(const char* key, std::initializer_list<std::string_view> allowed) const;
  std::vector<int64_t> integers(const char* key, int64_t least, int64_t most) const;
  std::vector<double> numbers(const char* key, size_t count) const;

  std::string path(const char* key) const { return name_ + "." + key; }

 private:
  Napi::Object object_;
  std::string name_;
};

}  // namespace kfd::node
