// Opening libllama. Must run before the other tests, since a process opens one library: doctest orders by file name.
#include <doctest/doctest.h>

#include "llm_helpers.h"

using namespace kfd::llm;
using namespace kfd::test;

namespace {

namespace fs = std::filesystem;

// A folder like node-llama-cpp's, with another libllama.
fs::path folder_with(const char* fake_library, const std::string& name) {
  const fs::path folder = scratch() / name;
  fs::create_directory(folder);
  for (const auto& entry : fs::directory_iterator(llama_folder())) {
    const std::string file = entry.path().filename().string();
    if (file.rfind("libggml", 0) == 0) fs::create_symlink(fs::canonical(entry.path()), folder / file);
  }
  if (fake_library != nullptr) fs::copy_file(fake_library, folder / "libllama.v9.9.9.so");
  return folder;
}

LibraryOptions in(const fs::path& folder) { return {folder.string(), "cpu", ""}; }

void expect_refusal(const LibraryOptions& options, ErrorCode code, const std::string& part) {
  std::string message;
  CAPTURE(options.folder);
  CHECK(refusal([&] { open_library(options); }, &message) == code);
  INFO(message);
  CHECK(message.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a wrong library is refused, and the right one opens after that") {
  REQUIRE_MESSAGE(refusal([] { Prefix::load(small_options(), [](LoadOutcome) {}); }) == ErrorCode::kLlamaMissing,
                  "another test has opened the library before");
  expect_refusal(in(scratch() / "nowhere"), ErrorCode::kLlamaMissing, "nowhere");
  expect_refusal(in(folder_with(nullptr, "empty")), ErrorCode::kLlamaMissing, "found 0");
  expect_refusal({llama_folder(), "cuda", ""}, ErrorCode::kLlamaMissing, "variant cuda");
  expect_refusal({llama_folder(), "../..", ""}, ErrorCode::kInvalidArgument, "'../..'");
  expect_refusal(in(folder_with(KFD_FAKE_OTHER, "other")), ErrorCode::kLlamaMismatch, "is 9.9.9");
  expect_refusal(in(folder_with(KFD_FAKE_HALF, "half")), ErrorCode::kLlamaMismatch, "has no llama_");
  const fs::path text = folder_with(nullptr, "text");
  fs::copy_file(__FILE__, text / "libllama.v9.9.9.so");
  expect_refusal(in(text), ErrorCode::kLlamaMissing, "Cannot open");
  // From here on the real one stays mapped, and another copy beside it is refused for that reason.
  expect_refusal({llama_folder(), "cpu", "1.2.3"}, ErrorCode::kLlamaMismatch, "Expected llama.cpp 1.2.3");
  expect_refusal(in(scratch() / "other"), ErrorCode::kLlamaMismatch, "Expected to share");

  const LibraryInfo info = open_library(in(llama_folder()));
  CHECK(info.version == KFD_LLAMA_VERSION);
  CHECK(info.devices.size() == 1);
  CHECK(open_library(in(llama_folder())).path == info.path);
  expect_refusal(in(scratch() / "other"), ErrorCode::kLlamaMismatch, "of this process");
  expect_refusal({llama_folder(), "cpu", "1.2.3"}, ErrorCode::kLlamaMismatch, "Expected llama.cpp 1.2.3");
}
