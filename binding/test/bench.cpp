// kfd_engine_bench --model VIT.pt [--kind vit|kfd] [--size 224] [--rounds 15] [--heads N] [--batch 1]
//
// Median CPU time of one forward on one lane of one thread: the plain TorchScript forward, the engine's block walk, the
// walk with class rows, and with class rows and contributions. All in one process, taking turns, so that whatever else
// the machine does meets them alike. Prints JSON.
#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <random>
#include <string>

#include "engine/engine.h"

using namespace kfd::engine;

namespace {

struct Arguments {
  std::string model;
  ModelOptions options;
  int rounds = 15;
  int64_t batch = 1;
};

struct Contender {
  std::string name;
  std::shared_ptr<Model> model;
  Request request;
  std::vector<double> cpu_ms;
};

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

// CPU time of the whole process, which during the job is the lane's alone.
double run_once(Executor& executor, const Contender& contender) {
  std::promise<Outcome> promise;
  const double start = process_cpu_ms();
  executor.submit(contender.model, contender.request, [&](Outcome outcome) { promise.set_value(std::move(outcome)); });
  const Outcome outcome = promise.get_future().get();
  if (outcome.error) {
    throw *outcome.error;
  }
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

std::vector<Contender> contenders(const Arguments& arguments) {
  ModelOptions plain = arguments.options;
  plain.plain_forward = true;
  const auto torchscript = load_model(arguments.model, plain);
  const auto engine = load_model(arguments.model, arguments.options);
  const Request request = random_request(arguments);
  Request rows = request;
  rows.hooks.class_attention = true;
  Request contributions = rows;
  contributions.hooks.direction.assign(static_cast<size_t>(info(*engine).width), 0.5F);
  return {{"torchscript", torchscript, request, {}},
          {"engine", engine, request, {}},
          {"engine_class_row", engine, rows, {}},
          {"engine_class_row_contribution", engine, contributions, {}}};
}

void report(const Arguments& arguments, const std::vector<Contender>& all) {
  const ModelInfo& model = info(*all[1].model);
  std::printf(
      "{\"threads\": 1, \"batch\": %lld, \"rounds\": %d, \"execution\": \"%s\", \"verification_error\": %.2e,\n",
      static_cast<long long>(arguments.batch), arguments.rounds, model.execution.c_str(), model.verification_error);
  std::printf(" \"cpu_ms\": {");
  for (size_t i = 0; i < all.size(); ++i) {
    std::printf("%s\"%s\": %.1f", i == 0 ? "" : ", ", all[i].name.c_str(), median(all[i].cpu_ms));
  }
  // Ratios are medians of ratios within a round: neighbours in time.
  const auto ratio = [&](size_t numerator, size_t denominator) {
    std::vector<double> ratios;
    for (size_t round = 0; round < all[0].cpu_ms.size(); ++round) {
      ratios.push_back(all[numerator].cpu_ms[round] / all[denominator].cpu_ms[round]);
    }
    return median(ratios);
  };
  std::printf(
      "},\n \"ratios\": {\"engine_vs_torchscript_fp32\": %.3f, \"class_row_overhead\": %.3f, "
      "\"class_row_contribution_overhead\": %.3f}}\n",
      ratio(0, 1), ratio(2, 1) - 1, ratio(3, 1) - 1);
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
