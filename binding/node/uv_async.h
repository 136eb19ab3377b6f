// The few libuv functions that wake the JavaScript thread.
//
// They are declared here because uv.h is not part of node-api-headers, the package an addon is built with when Node's
// own headers are not installed. Node exports these symbols, and they are stable for the whole of libuv 1.x; the size
// of the handle is asked at run time (uv_handle_size), so no layout is assumed.
//
// Why not a Napi::ThreadSafeFunction: Node 24.15 to 24.19 abort when an environment ends with one in flight, and
// releases up to 25.3 may use it after its end. An own handle is closed when we know that no thread will use it.
#pragma once

#include <cstddef>

struct uv_loop_s;
struct uv_async_s;
struct uv_handle_s;

extern "C" {
int uv_async_init(uv_loop_s* loop, uv_async_s* handle, void (*callback)(uv_async_s*));
int uv_async_send(uv_async_s* handle);
void uv_close(uv_handle_s* handle, void (*callback)(uv_handle_s*));
void uv_ref(uv_handle_s* handle);
void uv_unref(uv_handle_s* handle);
size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_s* handle, void* data);
void* uv_handle_get_data(const uv_handle_s* handle);
}

namespace kfd::node {
inline constexpr int kUvAsyncType = 1;  // UV_ASYNC of enum uv_handle_type
}
