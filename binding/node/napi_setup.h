// The only place that includes <napi.h>: its switches change types and must be the same in every file.
#pragma once

#define NAPI_VERSION 9
// std::exception (and anything else) leaving a callback becomes a JavaScript error instead of SIGABRT.
#define NODE_ADDON_API_CPP_EXCEPTIONS_ALL
// worker.terminate() makes every call into JavaScript fail: such errors have no one to go to.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
// Finalizers run during garbage collection and must not touch JavaScript: make that a compile error.
#define NODE_ADDON_API_REQUIRE_BASIC_FINALIZERS
#define NODE_ADDON_API_DISABLE_DEPRECATED

#include <napi.h>
