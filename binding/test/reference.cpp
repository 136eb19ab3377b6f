#include "reference.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <sstream>

namespace kfd::test {
namespace {

using namespace kfd::engine;

template <typename Value>
std::vector<Value> read_binary(const std::filesystem::path& path, const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t d : shape) {
    count *= static_cast<size_t>(d);
  }
  std::vector<Value> values(count);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(Value)));
  if (!file || file.peek() != std::ifstream::traits_type::eof()) {
    throw std::runtime_error(path.string() + " does not have the size that index.txt gives");
  }
  return values;
}

Case read_case(const std::filesystem::path& folder) {
  Case c;
  c.name = folder.filename().string();
  std::ifstream index(folder / "index.txt");
  for (std::string line; std::getline(index, line);) {
    std::istringstream words(line);
    std::string kind, key, value;
    words >> kind >> key >> value;
    if (kind == "model") {
      c.models.emplace_back(key, (folder / value).string());
    } else if (kind == "set") {
      c.settings[key] = value;
    } else if (kind == "expect") {
      c.expectations.emplace(key, value);
    } else if (kind == "f32" || kind == "u8") {
      std::vector<int64_t> shape;
      for (int64_t d = 0; words >> d;) {
        shape.push_back(d);
      }
      if (kind == "f32") {
        c.arrays[key] = {shape, read_binary<float>(folder / value, shape)};
      } else {
        c.bytes[key] = {shape, read_binary<uint8_t>(folder / value, shape)};
      }
    } else {
      throw std::runtime_error("unknown line in " + (folder / "index.txt").string() + ": " + line);
    }
  }
  return c;
}

}  // namespace

const Array& Case::array(const std::string& key) const {
  const auto found = arrays.find(key);
  if (found == arrays.end()) {
    throw std::runtime_error("case " + name + " has no array " + key);
  }
  return found->second;
}

std::string Case::expected(const std::string& key) const {
  const auto found = expectations.find(key);
  if (found == expectations.end()) {
    throw std::runtime_error("case " + name + " expects nothing about " + key);
  }
  return found->second;
}

std::string Case::model(const std::string& key) const {
  for (const auto& [model, path] : models) {
    if (model == key) {
      return path;
    }
  }
  throw std::runtime_error("case " + name + " has no model " + key);
}

Settings& settings() {
  static Settings instance;
  return instance;
}

std::vector<Case> cases(const std::string& prefix) {
  std::vector<std::filesystem::path> folders;
  if (std::filesystem::is_directory(settings().reference)) {
    for (const auto& entry : std::filesystem::directory_iterator(settings().reference)) {
      const bool wanted = entry.path().filename().string().rfind(prefix, 0) == 0;
      if (wanted && std::filesystem::exists(entry.path() / "index.txt")) {
        folders.push_back(entry.path());
      }
    }
  }
  if (folders.empty()) {
    throw std::runtime_error("no reference case " + prefix + "* in " + settings().reference +
                             ": run `python -m oracles --out <folder>` and pass --reference <folder>");
  }
  std::sort(folders.begin(), folders.end());
  std::vector<Case> all;
  for (const auto& folder : folders) {
    all.push_back(read_case(folder));
  }
  return all;
}

Case one_case(const std::string& name) { return cases(name).front(); }

ModelOptions options_of(const Case& c, ModelKind kind) {
  ModelOptions options;
  options.kind = kind;
  options.device = settings().device;
  for (const auto& [key, value] : c.settings) {
    if (key == "width") options.input.width = std::stoll(value);
    if (key == "height") options.input.height = std::stoll(value);
    if (key == "heads") options.heads = std::stoll(value);
  }
  return options;
}

const Array* find(const NamedArrays& arrays, const std::string& name) {
  for (const auto& [key, array] : arrays) {
    if (key == name) {
      return &array;
    }
  }
  return nullptr;
}

const Array& get(const Result& result, const std::string& name) {
  const Array* array = find(result.arrays, name);
  if (array == nullptr) {
    throw std::runtime_error("the result has no array " + name);
  }
  return *array;
}

double relative_error(const Array& actual, const Array& expected) {
  if (actual.shape != expected.shape || actual.data.size() != expected.data.size()) {
    return std::numeric_limits<double>::infinity();
  }
  double difference = 0, largest = 0;
  for (size_t i = 0; i < expected.data.size(); ++i) {
    const double d = std::abs(static_cast<double>(actual.data[i]) - static_cast<double>(expected.data[i]));
    difference = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(difference, d);
    largest = std::max(largest, std::abs(static_cast<double>(expected.data[i])));
  }
  return difference / std::max(largest, 1e-30);
}

Array rows(const Array& array, int64_t from, int64_t count) {
  const auto row = static_cast<int64_t>(array.data.size()) / array.shape.at(0);
  Array part{array.shape, {array.data.begin() + from * row, array.data.begin() + (from + count) * row}};
  part.shape[0] = count;
  return part;
}

Request tensor_request(const Array& image) {
  Request request;
  request.tensor.data = image.data;
  std::copy(image.shape.begin(), image.shape.end(), request.tensor.shape.begin());
  return request;
}

Result run(Executor& executor, const std::shared_ptr<Model>& model, Request request) {
  std::promise<Outcome> promise;
  auto future = promise.get_future();
  executor.submit(model, std::move(request), [&](Outcome outcome) { promise.set_value(std::move(outcome)); });
  Outcome outcome = future.get();
  if (outcome.error) {
    throw *outcome.error;
  }
  return std::move(*outcome.result);
}

std::unique_ptr<Executor> one_lane() { return Executor::create({}); }

}  // namespace kfd::test
