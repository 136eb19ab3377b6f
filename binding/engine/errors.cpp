#include "engine/errors.h"

#include <exception>
#include <new>
#include <string_view>

#include "engine/torch_api.h"

namespace kfd::engine {
namespace {

constexpr const char* kMemoryHint = "use fewer lanes, a smaller maxBatch or a smaller model";

// The CPU allocator throws a plain c10::Error, so its wording is the only mark.
bool speaks_of_memory(const std::string& message) {
  return message.find("can't allocate memory") != std::string::npos ||
         message.find("out of memory") != std::string::npos || message.find("not enough memory") != std::string::npos;
}

Error make(const std::string& doing, std::string_view message, ErrorCode code) {
  std::string text = doing;
  text.append(": ").append(message);
  if (code == ErrorCode::kOutOfMemory || speaks_of_memory(text)) {
    return Error(ErrorCode::kOutOfMemory, text, kMemoryHint);
  }
  return Error(code, text);
}

}  // namespace

Error current_error(const std::string& doing, ErrorCode fallback) {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const c10::OutOfMemoryError& error) {
    return make(doing, error.what_without_backtrace(), ErrorCode::kOutOfMemory);
  } catch (const c10::Error& error) {
    return make(doing, error.what_without_backtrace(), fallback);
  } catch (const std::bad_alloc&) {
    return make(doing, "the system refused memory", ErrorCode::kOutOfMemory);
  } catch (const std::exception& error) {
    return make(doing, error.what(), fallback);
  } catch (...) {
    return make(doing, "an exception of unknown type", fallback);
  }
}

}  // namespace kfd::engine
