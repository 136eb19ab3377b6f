// Between JavaScript values (lib/native/types.ts) and the structures of llm.h. Types are checked here, values by
// llm::Prefix.
#pragma once

#include "../llm/llm.h"
#include "napi_setup.h"

namespace kfd::node {

llm::LibraryOptions library_options_from(const Napi::Value& value);
llm::PrefixOptions prefix_options_from(const Napi::Value& value);
llm::WriteRequest write_request_from(const Napi::Value& value);  // arrays are copied

Napi::Object to_js(Napi::Env env, const llm::LibraryInfo& info);
Napi::Object to_js(Napi::Env env, const llm::PrefixInfo& info);
Napi::Object to_js(Napi::Env env, const llm::Written& written);
Napi::Int32Array to_js(Napi::Env env, const std::vector<int32_t>& tokens);

}  // namespace kfd::node
