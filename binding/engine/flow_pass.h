// One pass over a recorded forward pass: coefficients and token maps, a block a step.
#pragma once

#include "engine/flow_target.h"

namespace kfd::engine {

class FlowPassRun {
 public:
  virtual ~FlowPassRun() = default;
  bool done() const { return done_; }
  const FlowPass& pass() const { return pass_; }
  const PassSeeds& seeds() const { return seeds_; }
  // One block; arrays as engine.h names them, of Flow::next.
  struct Event {
    int64_t block;
    NamedTensors arrays;
  };
  virtual Event step() = 0;

 protected:
  FlowPassRun(const Model& model, const FlowRecord& record, FlowPass pass);

  int64_t depth() const { return static_cast<int64_t>(record_.blocks.size()); }
  const BlockRecord& record(int64_t block) const { return record_.blocks[static_cast<size_t>(block)]; }
  // coefficients (T,B,R,D): `C`, maps and total of the rows that this pass decomposes
  void add_maps(int64_t block, const at::Tensor& coefficients, NamedTensors& arrays) const;
  // (T,B,R,D) of zeros, R the class rows
  at::Tensor no_derivative() const;

  const Model& model_;
  FlowPlan& plan_;
  const FlowRecord& record_;
  const FlowPass pass_;
  const PassSeeds seeds_;
  bool done_ = false;
};

// Checks the pass against model and record (kInvalidArgument, kModelUnsupported) and seeds its targets. Model and
// record must outlive the run.
std::unique_ptr<FlowPassRun> start_pass(const Model& model, const FlowRecord& record, FlowPass pass);

}  // namespace kfd::engine
