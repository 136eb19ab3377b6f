#include "errors.h"

namespace kfd::node {

namespace {

std::string type_name(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "boolean";
    case napi_number:
      return "number";
    case napi_string:
      return "string";
    case napi_symbol:
      return "symbol";
    case napi_function:
      return "function";
    case napi_bigint:
      return "bigint";
    case napi_external:
      return "external";
    case napi_object:
      break;
  }
  if (value.IsArray()) return "array";
  if (value.IsTypedArray() || value.IsDataView()) return "typed array";
  if (value.IsArrayBuffer()) return "ArrayBuffer";
  return "object";
}

// Short, and without calling the value's own code.
std::string describe(const Napi::Value& value) {
  constexpr size_t kLongest = 60;
  if (value.IsString()) {
    std::string text = value.As<Napi::String>().Utf8Value();
    if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
    return "'" + text + "'";
  }
  if (value.IsArray()) return "an array of " + std::to_string(value.As<Napi::Array>().Length()) + " elements";
  if (value.IsTypedArray()) return std::to_string(value.As<Napi::TypedArray>().ElementLength()) + " elements";
  if (value.IsObject() || value.IsSymbol() || value.IsExternal()) return "a value";
  return value.ToString().Utf8Value();
}

Napi::Error js_error(Napi::Env env, const char* code, const char* message, const std::string& hint) {
  Napi::Error js = Napi::Error::New(env, message);
  Napi::Object object = js.Value();
  object.Set("code", code);
  if (!hint.empty()) object.Set("hint", hint);
  return js;
}

}  // namespace

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "ERR_KFD_INVALID_ARGUMENT";
    case ErrorCode::kQueueFull:
      return "ERR_KFD_QUEUE_FULL";
    case ErrorCode::kAborted:
      return "ERR_KFD_ABORTED";
    case ErrorCode::kDisposed:
      return "ERR_KFD_DISPOSED";
    case ErrorCode::kOutOfMemory:
      return "ERR_KFD_OUT_OF_MEMORY";
    case ErrorCode::kModelLoad:
      return "ERR_KFD_MODEL_LOAD";
    case ErrorCode::kModelUnsupported:
      return "ERR_KFD_MODEL_UNSUPPORTED";
    case ErrorCode::kModelMismatch:
      return "ERR_KFD_MODEL_MISMATCH";
    case ErrorCode::kDevice:
      return "ERR_KFD_DEVICE";
    case ErrorCode::kLlamaMissing:
      return "ERR_KFD_LLAMA_MISSING";
    case ErrorCode::kLlamaMismatch:
      return "ERR_KFD_LLAMA_MISMATCH";
    case ErrorCode::kLanguageModel:
      return "ERR_KFD_LANGUAGE_MODEL";
    case ErrorCode::kFileWrite:
      return "ERR_KFD_FILE_WRITE";
    case ErrorCode::kInternal:
      break;
  }
  return "ERR_KFD_INTERNAL";
}

Napi::Error to_js_error(Napi::Env env, const Error& error) {
  return js_error(env, code_name(error.code()), error.what(), error.hint());
}

Error argument_error(const std::string& expected, const std::string& name, const Napi::Value& received) {
  return Error(ErrorCode::kInvalidArgument, "Expected " + expected + " for " + name + " but received " +
                                                describe(received) + " of type " + type_name(received));
}

void require_tag(const Napi::CallbackInfo& info, const napi_type_tag& tag, const char* class_name) {
  const Napi::Value self = info.This();
  if (!self.IsObject() || !self.As<Napi::Object>().CheckTypeTag(&tag)) {
    throw argument_error(std::string("a native ") + class_name, "this", self);
  }
}

}  // namespace kfd::node
