// Runs doctest and prints the counts as the last line.
#pragma once

#include <cstdio>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

namespace kfd::test {

inline doctest::TestRunStats last_run;

struct Counts : doctest::IReporter {
  explicit Counts(const doctest::ContextOptions&) {}
  void test_run_end(const doctest::TestRunStats& stats) override { last_run = stats; }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("counts", 1, Counts);

inline int run_doctest(int count, char** arguments) {
  doctest::Context context;
  context.applyCommandLine(count, arguments);
  const int status = context.run();
  std::printf("test cases: %u run, %u failed; checks: %d run, %d failed\n", last_run.numTestCasesPassingFilters,
              last_run.numTestCasesFailed, last_run.numAsserts, last_run.numAssertsFailed);
  return status;
}

}  // namespace kfd::test
