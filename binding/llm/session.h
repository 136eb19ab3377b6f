// A loaded language model with its adapter and one context. Used by one thread at a time, the one of Prefix.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "llm/api.h"
#include "llm/llm.h"

namespace kfd::llm {

class Session {
 public:
  // Loads and checks everything. Throws kLanguageModel, kOutOfMemory, and kAborted soon after `stop` has become true.
  Session(const Api& api, const PrefixOptions& options, const std::atomic<bool>& stop);

  PrefixInfo info() const;
  std::vector<int32_t> tokenize(const std::string& text, bool special) const;
  // `stopped` is asked before and within each decode. The request must have been checked (prefix.cpp). The
  // sequence is empty again afterwards, whatever happens.
  Written write(const WriteRequest& request, const std::function<bool()>& stopped);

 private:
  template <class Object>
  using Owned = std::unique_ptr<Object, void (*)(Object*)>;

  void load_model(const PrefixOptions& options, const std::atomic<bool>& stop);
  void refuse_unfit_model(const std::string& path) const;
  void create_context(const PrefixOptions& options);
  void apply_adapter(const PrefixOptions& options);
  void decode(const Piece& piece, int64_t position, bool last_logits, const std::function<bool()>& stopped);
  void decode_chunk(const Piece& piece, int64_t begin, int64_t count, int64_t position, bool logits);
  int64_t save(const WriteRequest& request);

  const Api& api_;
  Owned<llama_model> model_;
  Owned<llama_context> context_;  // freed before the model
  const llama_vocab* vocabulary_ = nullptr;
};

}  // namespace kfd::llm
