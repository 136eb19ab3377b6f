// The functions of libllama and libggml that are used, as a table typed by their own headers. Nothing is linked: the
// libraries are opened at run time (library.cpp), and structures passed by value make their release matter.
#pragma once

#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#define KFD_LLAMA_FUNCTIONS(X)    \
  X(llama_version)                \
  X(llama_log_get)                \
  X(llama_log_set)                \
  X(llama_backend_init)           \
  X(llama_model_default_params)   \
  X(llama_model_load_from_file)   \
  X(llama_model_free)             \
  X(llama_model_get_vocab)        \
  X(llama_model_n_embd)           \
  X(llama_model_n_embd_inp)       \
  X(llama_model_rope_type)        \
  X(llama_model_has_encoder)      \
  X(llama_model_is_recurrent)     \
  X(llama_model_is_hybrid)        \
  X(llama_vocab_n_tokens)         \
  X(llama_tokenize)               \
  X(llama_adapter_lora_init)      \
  X(llama_set_adapters_lora)      \
  X(llama_context_default_params) \
  X(llama_init_from_model)        \
  X(llama_free)                   \
  X(llama_n_batch)                \
  X(llama_n_ctx_seq)              \
  X(llama_get_memory)             \
  X(llama_memory_seq_rm)          \
  X(llama_set_abort_callback)     \
  X(llama_decode)                 \
  X(llama_get_logits_ith)         \
  X(llama_state_seq_save_file)
#define KFD_GGML_FUNCTIONS(X)        \
  X(ggml_backend_load_all_from_path) \
  X(ggml_backend_reg_count)          \
  X(ggml_backend_dev_count)          \
  X(ggml_backend_dev_get)
#define KFD_GGML_BASE_FUNCTIONS(X) \
  X(ggml_backend_dev_name)         \
  X(ggml_blck_size)                \
  X(ggml_type_size)

namespace kfd::llm {

struct Api {
#define KFD_MEMBER(name) decltype(&::name) name = nullptr;
  KFD_LLAMA_FUNCTIONS(KFD_MEMBER)
  KFD_GGML_FUNCTIONS(KFD_MEMBER)
  KFD_GGML_BASE_FUNCTIONS(KFD_MEMBER)
#undef KFD_MEMBER
};

// The table of the open library. Throws kLlamaMissing before open_library().
const Api& api();

}  // namespace kfd::llm
