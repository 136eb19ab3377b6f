// Turns whatever torch or the standard library throws into an engine::Error.
#pragma once

#include <string>

#include "engine/engine.h"

namespace kfd::engine {

// To be called inside a catch block. An engine::Error passes unchanged; lack of memory becomes kOutOfMemory; the rest
// becomes `fallback` with the message "<doing>: <what torch said, without its backtrace>".
Error current_error(const std::string& doing, ErrorCode fallback = ErrorCode::kInternal);

}  // namespace kfd::engine
