// Reads the cases that `python -m oracles` writes (format: python/oracles/case_writer.py), and small
// helpers that every engine test uses.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace kfd::test {

struct Case {
  std::string name;
  std::vector<std::pair<std::string, std::string>> models;  // name, path
  std::map<std::string, std::string> settings;
  std::multimap<std::string, std::string> expectations;
  std::map<std::string, engine::Array> arrays;
  std::map<std::string, std::pair<std::vector<int64_t>, std::vector<uint8_t>>> bytes;

  const engine::Array& array(const std::string& key) const;
  bool has(const std::string& key) const { return arrays.count(key) != 0; }
  std::string expected(const std::string& key) const;
  int64_t number(const std::string& key) const { return std::stoll(expected(key)); }
  std::string model(const std::string& key) const;
};

// From the command line: --reference DIR, --device NAME.
struct Settings {
  std::string reference = "build/reference";
  std::string device = "cpu";
  // largest difference over largest reference value
  double tolerance() const { return device == "cpu" ? 1e-5 : 1e-4; }
};
Settings& settings();

// All cases whose name starts so; fails when there is none.
std::vector<Case> cases(const std::string& prefix);
Case one_case(const std::string& name);

// Options from the case's `set` lines and the device under test.
engine::ModelOptions options_of(const Case& c, engine::ModelKind kind);

const engine::Array* find(const engine::NamedArrays& arrays, const std::string& name);
const engine::Array& get(const engine::Result& result, const std::string& name);

// Infinity when the shapes differ.
double relative_error(const engine::Array& actual, const engine::Array& expected);

// Rows [from, from + count) of the first axis.
engine::Array rows(const engine::Array& array, int64_t from, int64_t count);

engine::Request tensor_request(const engine::Array& image);

// Runs one job on an executor and waits; an error is thrown as it came.
engine::Result run(engine::Executor& executor, const std::shared_ptr<engine::Model>& model, engine::Request request);
// One lane of one thread, batches of up to 4, unless told otherwise.
std::unique_ptr<engine::Executor> one_lane();

}  // namespace kfd::test
