// kfd_engine_test [--reference DIR] [--device cpu|cuda] [doctest's own options]
#include <ATen/Parallel.h>

#include <string>
#include <vector>

#include "reference.h"
#include "run_tests.h"

int main(int count, char** arguments) {
  std::vector<char*> rest{arguments[0]};
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--reference" && i + 1 < count) {
      kfd::test::settings().reference = arguments[++i];
    } else if (argument == "--device" && i + 1 < count) {
      kfd::test::settings().device = arguments[++i];
    } else {
      rest.push_back(arguments[i]);
    }
  }
  at::set_num_threads(1);  // models are loaded on this thread; the lanes set their own
  return kfd::test::run_doctest(static_cast<int>(rest.size()), rest.data());
}
