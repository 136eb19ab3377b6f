// Between the C++ parts' errors and JavaScript errors with `code` and `hint`.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "../core/error.h"
#include "napi_setup.h"

namespace kfd::node {

// "ERR_KFD_QUEUE_FULL" ...; the same names as lib/errors.ts.
const char* code_name(ErrorCode code);

Napi::Error to_js_error(Napi::Env env, const Error& error);

// The uniform argument error: "Expected <expected> for <name> but received <value> of type <type>".
Error argument_error(const std::string& expected, const std::string& name, const Napi::Value& received);

// Throws unless `object` is one of ours: unwrapping a foreign object would read foreign memory.
void require_tag(const Napi::CallbackInfo& info, const napi_type_tag& tag, const char* class_name);

// Runs the body of a callback: whatever C++ throws leaves as a JavaScript error with a code.
template <class Body>
auto guarded(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& error) {
    throw to_js_error(env, error);
  } catch (const std::bad_alloc&) {
    throw to_js_error(env, Error(ErrorCode::kOutOfMemory, "an allocation failed"));
  } catch (const std::exception& error) {
    throw to_js_error(env, Error(ErrorCode::kInternal, error.what()));
  } catch (...) {
    throw to_js_error(env, Error(ErrorCode::kInternal, "an exception of unknown type"));
  }
}

}  // namespace kfd::node
