// Drives a Flow from a test: each call waits for its callback and throws what it reports.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reference.h"

namespace kfd::test {

// One pass: the arrays of each block, by block index, and what begin() and the last event gave besides.
struct PassResult {
  engine::Array y;
  std::vector<std::map<std::string, engine::Array>> blocks;
  std::vector<int64_t> order;  // blocks as they came

  const engine::Array& at(int64_t block, const std::string& name) const;
  const engine::Array& last(const std::string& name) const { return at(order.back(), name); }
};

engine::Result wait_forward(engine::Flow& flow);
engine::Result wait_begin(engine::Flow& flow, engine::FlowPass pass);
engine::BlockEvent wait_next(engine::Flow& flow);
PassResult run_pass(engine::Flow& flow, const engine::FlowPass& pass, int64_t depth);

// The targets of a case whose kind is `kind`, or all; with their indices in the case's arrays.
struct CaseTargets {
  std::vector<engine::FlowTarget> targets;
  std::vector<int64_t> indices;
};
CaseTargets case_targets(const Case& c);

// Executor of one lane, model and flow of a case, forward() done.
struct OpenFlow {
  std::unique_ptr<engine::Executor> executor = one_lane();
  std::shared_ptr<engine::Model> model;
  std::shared_ptr<engine::Flow> flow;
  engine::Result outputs;
  int64_t depth = 0;

  explicit OpenFlow(const Case& c, bool full = true, const std::string& model_name = "scripted");
  PassResult pass(const engine::FlowPass& pass) const { return run_pass(*flow, pass, depth); }
};

// Index `i` of the first axis, which is dropped.
engine::Array at_index(const engine::Array& array, int64_t i);
// <a, b> of two equally long arrays, in double.
double inner(const std::vector<float>& a, const std::vector<float>& b);
double largest(const engine::Array& array);

}  // namespace kfd::test
