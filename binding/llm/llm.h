// The whole surface of the language-model part that binding/node and the C++ tests see: soft prompts into llama.cpp.
// No Node type, no torch type and no llama.cpp type appears here.
//
// libllama is not linked. It is the one that node-llama-cpp ships, opened at run time (open_library), so that both use
// the same code and the same processor backends. What this part does with it is small: decode a prefix of text tokens
// and embedding rows ("soft prompts") and save the state of that sequence to a file, which node-llama-cpp's public
// `sequence.loadStateFromFile` reads (spec/explainer.md 3, way i+). Generation stays with node-llama-cpp.
//
// llama.cpp checks little of what it is given and ends the process where an assertion fails, so everything is checked
// here first: files, widths, finiteness, token ids, the number of positions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace kfd::llm {

using kfd::Error;
using kfd::ErrorCode;

// --------------------------------------------------------------------------------------------------------- library

struct LibraryOptions {
  std::string folder;            // that holds libllama, libggml, libggml-base and the backends
  std::string variant = "cpu";   // "cpu": libllama.v*.so; "cuda": libllama.cuda.v*.so; and so on
  std::string expected_version;  // empty: the release of the headers; else llama_version() must also equal this
};

struct LibraryInfo {
  std::string version;               // llama_version()
  std::string path;                  // of libllama
  std::vector<std::string> devices;  // "CPU", "CUDA0" ...
};

// Opens libllama for this process; again with the same folder and variant: the same answer. Its log is silenced unless
// node-llama-cpp, loaded earlier, has taken it. Throws kLlamaMissing, kLlamaMismatch.
LibraryInfo open_library(const LibraryOptions& options);

// ---------------------------------------------------------------------------------------------------------- prefix

struct PrefixOptions {
  std::string model;    // GGUF file
  std::string adapter;  // LoRA GGUF file; empty: none
  double adapter_scale = 1;
  // A state file fits a context with the same number of sequences, flash attention setting and KV types (f16 here).
  int64_t sequences = 1;
  int64_t context_size = 256;  // positions of one sequence; need only hold the prefix
  int64_t threads = 1;
  bool flash_attention = false;
  int64_t gpu_layers = 0;
};

struct PrefixInfo {
  int64_t width = 0;         // floats of an embedding row
  int64_t vocabulary = 0;    // token ids are 0 .. vocabulary - 1
  int64_t context_size = 0;  // positions that a prefix may have (context_size, rounded up by llama.cpp)
};

// A stretch of the prefix: tokens, or embedding rows with the ids that stand for them in the state file's token list.
struct Piece {
  std::vector<int32_t> tokens;
  std::vector<float> rows;  // empty, or tokens.size() rows of `width` values
};

struct WriteRequest {
  std::string file;  // its folder must exist; the file is replaced as a whole
  std::vector<Piece> pieces;
  bool logits = false;  // also return those of the last position
};

struct Written {
  int64_t positions = 0;
  int64_t bytes = 0;          // of the file
  std::vector<float> logits;  // `vocabulary` values where asked for
  double decode_ms = 0;
};

// Exactly one of the two is set.
struct LoadOutcome {
  std::unique_ptr<PrefixInfo> info;
  std::unique_ptr<Error> error;
};
struct WriteOutcome {
  std::unique_ptr<Written> written;
  std::unique_ptr<Error> error;
};

// Handle of a write. cancel(): waiting -> dropped at once with kAborted; decoding -> stops within the decode.
class Job {
 public:
  virtual ~Job() = default;
  virtual void cancel() = 0;
};

// A language model with its adapter, one context and one thread of its own, which does all the work in order. Every
// function may be called from any thread; callbacks arrive on that thread (or on the caller's when a waiting write is
// cancelled), exactly once, and must not let go of the last owner.
class Prefix {
 public:
  // Starts the thread, which loads the model and calls back; close() aborts a load under way. Throws kLlamaMissing
  // (no library is open), kInvalidArgument.
  static std::shared_ptr<Prefix> load(PrefixOptions options, std::function<void(LoadOutcome)> callback);

  virtual ~Prefix() = default;  // closes
  // Ids of `text` (UTF-8), without a begin-of-sequence token; `special`: markers such as <|im_start|> in the text
  // become the special tokens that they name. Throws kDisposed, kInvalidArgument (before the model is loaded).
  virtual std::vector<int32_t> tokenize(const std::string& text, bool special) const = 0;
  // Decodes the pieces at positions 0, 1, ... and saves the sequence. Throws kInvalidArgument, kQueueFull, kDisposed.
  virtual std::shared_ptr<Job> write(WriteRequest request, std::function<void(WriteOutcome)> callback) = 0;
  // Refuses new work, aborts what waits and runs, frees the model; every callback has run when it returns. Idempotent.
  virtual void close() = 0;
};

}  // namespace kfd::llm
