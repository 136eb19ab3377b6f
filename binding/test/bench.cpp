// kfd_engine_bench --model VIT.pt [--kind vit|kfd] [--size 224] [--rounds 15] [--heads N] [--batch 1] [--flow 0|1|only]
//
// Median CPU time on one lane of one thread: the plain TorchScript forward, the engine's block walk, the walk with
// class rows, and with class rows and contributions; and of whole attention flows (forward and one pass) of each
// coefficient kind. All in one process, taking turns, so that whatever else the machine does meets them alike. Prints
// JSON.
#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <string>

#include "engine/engine.h"
#include "wait.h"

using namespace kfd::engine;
using kfd::test::wait;

namespace {

struct Arguments {
  std::string model;
  ModelOptions options;
  int rounds = 15;
  int64_t batch = 1;
  std::string flow = "1";
};

struct Contender {
  std::string name;
  std::function<void(Executor&)> run;  // returns when the work is done
  std::vector<double> cpu_ms;
};
using Contenders = std::vector<Contender>;

Arguments parse(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string key = values[i];
    const std::string value = values[i + 1];
    if (key == "--model") {
      arguments.model = value;
    } else if (key == "--kind") {
      arguments.options.kind = value == "kfd" ? ModelKind::kKfd : ModelKind::kVit;
    } else if (key == "--size") {
      arguments.options.input.width = arguments.options.input.height = std::stoll(value);
    } else if (key == "--rounds") {
      arguments.rounds = std::max(1, std::stoi(value));
    } else if (key == "--heads") {
      arguments.options.heads = std::stoll(value);
    } else if (key == "--batch") {
      arguments.batch = std::max<int64_t>(1, std::stoll(value));
    } else if (key == "--flow") {
      arguments.flow = value;
    } else {
      throw Error(ErrorCode::kInvalidArgument, "unknown option " + key);
    }
  }
  if (arguments.model.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "--model FILE is missing");
  }
  return arguments;
}

double process_cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Contender forward_of(const std::string& name, const std::shared_ptr<Model>& model, const Request& request) {
  return {name,
          [=](Executor& executor) {
            wait<Outcome>([&](Callback callback) { executor.submit(model, request, std::move(callback)); });
          },
          {}};
}

// A forward pass and one pass over it, all blocks.
Contender flow_of(const std::string& name, const std::shared_ptr<Model>& model, const Request& request,
                  const FlowOptions& options, const FlowPass& pass) {
  return {name,
          [=](Executor& executor) {
            const auto flow = executor.flow(model, request, options);
            wait<Outcome>([&](Callback callback) { flow->forward(std::move(callback)); });
            wait<Outcome>([&](Callback callback) { flow->begin(pass, std::move(callback)); });
            for (bool last = false; !last;) {
              last = wait<BlockOutcome>([&](BlockCallback callback) { flow->next(std::move(callback)); }).event->last;
            }
          },
          {}};
}

// CPU time of the whole process, which during the work is the lane's alone.
double run_once(Executor& executor, const Contender& contender) {
  const double start = process_cpu_ms();
  contender.run(executor);
  return process_cpu_ms() - start;
}

Request random_request(const Arguments& arguments) {
  const InputSpec& input = arguments.options.input;
  Request request;
  request.tensor.shape = {arguments.batch, 3, input.height, input.width};
  request.tensor.data.resize(static_cast<size_t>(arguments.batch * 3 * input.height * input.width));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : request.tensor.data) {
    value = normal(random);
  }
  return request;
}

// One value 1, as the derivative of a logit or of a channel of the feature.
FlowTarget unit_target(const Model& model, int64_t index) {
  FlowTarget target;
  const bool detector = info(model).kind == ModelKind::kKfd;
  target.kind = detector ? FlowTarget::Kind::kFeature : FlowTarget::Kind::kLogits;
  target.weights.assign(static_cast<size_t>(detector ? info(model).width : info(model).classes), 0.0F);
  target.weights.at(static_cast<size_t>(index)) = 1;
  return target;
}

void add_flows(const std::shared_ptr<Model>& model, const Request& request, Contenders& all) {
  const auto pass = [&](Coefficients coefficients, bool all_rows, int64_t targets) {
    FlowPass made;
    made.coefficients = coefficients;
    made.all_rows = all_rows;
    for (int64_t i = 0; i < targets; ++i) {
      made.targets.push_back(unit_target(*model, i));
    }
    return made;
  };
  const auto add = [&](const char* name, bool full, const FlowPass& made) {
    all.push_back(flow_of(name, model, request, {full}, made));
  };
  add("flow_direct", false, pass(Coefficients::kDirect, false, 1));
  add("flow_class_row", false, pass(Coefficients::kClassRow, false, 1));
  add("flow_gradient", true, pass(Coefficients::kGradient, false, 1));
  add("flow_gradient_2_targets", true, pass(Coefficients::kGradient, false, 2));
  add("flow_all_rows", true, pass(Coefficients::kGradient, true, 1));
  if (info(*model).kind == ModelKind::kKfd) {
    FlowPass forgery;
    forgery.all_rows = true;
    forgery.targets.push_back({FlowTarget::Kind::kForgery, {}});
    add("flow_forgery_all_rows", true, forgery);
  }
}

Contenders contenders(const Arguments& arguments) {
  const auto engine = load_model(arguments.model, arguments.options);
  const Request request = random_request(arguments);
  const ModelInfo& model = info(*engine);
  std::fprintf(stderr, "%s, verification error %.2e\n", model.execution.c_str(), model.verification_error);
  Contenders all{forward_of("engine", engine, request)};
  if (arguments.flow != "only") {
    ModelOptions plain = arguments.options;
    plain.plain_forward = true;
    Request rows = request;
    rows.hooks.class_attention = true;
    Request contributions = rows;
    contributions.hooks.direction.assign(static_cast<size_t>(model.width), 0.5F);
    all.push_back(forward_of("torchscript", load_model(arguments.model, plain), request));
    all.push_back(forward_of("engine_class_row", engine, rows));
    all.push_back(forward_of("engine_class_row_contribution", engine, contributions));
  }
  if (arguments.flow != "0") {
    add_flows(engine, request, all);
  }
  return all;
}

// Ratios are medians of ratios within a round: neighbours in time.
double ratio(const Contender& numerator, const Contender& denominator) {
  std::vector<double> ratios;
  for (size_t round = 0; round < numerator.cpu_ms.size(); ++round) {
    ratios.push_back(numerator.cpu_ms[round] / denominator.cpu_ms[round]);
  }
  return median(ratios);
}

void report(const Arguments& arguments, const Contenders& all) {
  std::printf("{\"threads\": 1, \"batch\": %lld, \"rounds\": %d,\n \"cpu_ms\": {",
              static_cast<long long>(arguments.batch), arguments.rounds);
  for (const Contender& contender : all) {
    std::printf("%s\"%s\": %.1f", &contender == &all.front() ? "" : ", ", contender.name.c_str(),
                median(contender.cpu_ms));
  }
  std::printf("},\n \"ratio_to_engine\": {");
  for (const Contender& contender : all) {
    std::printf("%s\"%s\": %.3f", &contender == &all.front() ? "" : ", ", contender.name.c_str(),
                ratio(contender, all.front()));
  }
  std::printf("}}\n");
}

void bench(const Arguments& arguments) {
  at::set_num_threads(1);
  const auto executor = Executor::create({});  // one lane, one thread
  auto all = contenders(arguments);
  constexpr int kWarmUps = 4;  // torch's profiling executor settles within three runs
  for (int round = -kWarmUps; round < arguments.rounds; ++round) {
    for (Contender& contender : all) {
      const double ms = run_once(*executor, contender);
      if (round >= 0) {
        contender.cpu_ms.push_back(ms);
      }
    }
  }
  report(arguments, all);
}

}  // namespace

int main(int count, char** values) {
  try {
    bench(parse(count, values));
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
    return 1;
  }
}
