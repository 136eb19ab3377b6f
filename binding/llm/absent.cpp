// Stands in for this whole part where the addon is built without node-llama-cpp's headers (KFD_LLAMA_INCLUDE).
#include "llm/llm.h"

namespace kfd::llm {
namespace {

[[noreturn]] void refuse() {
  throw Error(ErrorCode::kLlamaMissing, "This addon was built without node-llama-cpp's headers",
              "Run `npx kfd-native setup` (without --no-explainer) to build it with them.");
}

}  // namespace

LibraryInfo open_library(const LibraryOptions&) { refuse(); }

std::shared_ptr<Prefix> Prefix::load(PrefixOptions, std::function<void(LoadOutcome)>) { refuse(); }

}  // namespace kfd::llm
