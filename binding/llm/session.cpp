#include "llm/session.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>

#include "llm/adapter_check.h"
#include "llm/log.h"

namespace kfd::llm {
namespace {

constexpr llama_seq_id kSequence = 0;
constexpr int64_t kLargestBatch = 512;

using Clock = std::chrono::steady_clock;

// The files are checked before llama.cpp sees them.
void check_files(const Api& api, const PrefixOptions& options) {
  const GgufFile model = read_gguf(api, options.model, "language model");
  if (model.text("general.architecture").empty() || !model.tensors.contains("token_embd.weight") ||
      model.text("general.type") == "adapter") {
    throw Error(ErrorCode::kLanguageModel, "Expected a language model but " + options.model + " has no token embedding",
                "Was an adapter or another model given in its place?");
  }
  if (!options.adapter.empty()) check_adapter(model, read_gguf(api, options.adapter, "adapter"));
}

// A name of its own for each write, in the same folder so that the rename is atomic.
std::string temporary_name(const std::string& file) {
  static std::atomic<uint64_t> counter{0};
  return file + "." + std::to_string(getpid()) + "." + std::to_string(counter++) + ".tmp";
}

}  // namespace

Session::Session(const Api& api, const PrefixOptions& options, const std::atomic<bool>& stop)
    : api_(api), model_(nullptr, api.llama_model_free), context_(nullptr, api.llama_free) {
  check_files(api, options);
  load_model(options, stop);
  refuse_unfit_model(options.model);
  create_context(options);
  if (!options.adapter.empty()) apply_adapter(options);
}

void Session::load_model(const PrefixOptions& options, const std::atomic<bool>& stop) {
  const CapturedLog log;
  ggml_backend_dev_t no_devices[] = {nullptr};
  llama_model_params parameters = api_.llama_model_default_params();
  parameters.n_gpu_layers = static_cast<int32_t>(options.gpu_layers);
  if (options.gpu_layers == 0) parameters.devices = no_devices;
  parameters.load_mode = LLAMA_LOAD_MODE_MMAP;
  parameters.progress_callback = [](float, void* data) { return !static_cast<const std::atomic<bool>*>(data)->load(); };
  parameters.progress_callback_user_data = const_cast<std::atomic<bool>*>(&stop);
  model_.reset(api_.llama_model_load_from_file(options.model.c_str(), parameters));
  if (stop) throw Error(ErrorCode::kAborted, "Loading the language model was aborted");
  if (!model_) {
    throw Error(ErrorCode::kLanguageModel, log.explain("llama.cpp does not load " + options.model),
                "The file is damaged, or of an architecture that this llama.cpp does not know.");
  }
  vocabulary_ = api_.llama_model_get_vocab(model_.get());
}

// One row a position, one position a row: encoders, recurrent states, several positions a token (M-RoPE) and rows of
// other widths than the embedding need more than that.
void Session::refuse_unfit_model(const std::string& path) const {
  const llama_model* const model = model_.get();
  const llama_rope_type rope = api_.llama_model_rope_type(model);
  const bool several_positions = rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
  if (api_.llama_model_has_encoder(model) || api_.llama_model_is_recurrent(model) ||
      api_.llama_model_is_hybrid(model) || several_positions ||
      api_.llama_model_n_embd_inp(model) != api_.llama_model_n_embd(model)) {
    throw Error(ErrorCode::kLanguageModel,
                "Expected a decoder with one embedding row a position but " + path + " is none",
                "Soft prompts work with models of the Llama, Qwen2 and Mistral families, for example.");
  }
}

void Session::create_context(const PrefixOptions& options) {
  const CapturedLog log;
  llama_context_params parameters = api_.llama_context_default_params();
  parameters.n_ctx = static_cast<uint32_t>(options.context_size * options.sequences);
  parameters.n_batch = parameters.n_ubatch = static_cast<uint32_t>(std::min(options.context_size, kLargestBatch));
  parameters.n_seq_max = static_cast<uint32_t>(options.sequences);
  parameters.n_threads = parameters.n_threads_batch = static_cast<int32_t>(options.threads);
  parameters.flash_attn_type = options.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  parameters.offload_kqv = parameters.op_offload = options.gpu_layers != 0;
  // As node-llama-cpp makes its contexts, or the state file would not fit them.
  parameters.kv_unified = false;
  parameters.swa_full = false;
  parameters.no_perf = true;
  context_.reset(api_.llama_init_from_model(model_.get(), parameters));
  if (!context_) {
    throw Error(ErrorCode::kOutOfMemory,
                log.explain("llama.cpp makes no context of " + std::to_string(options.sequences) + " x " +
                            std::to_string(options.context_size) + " positions"),
                "Use fewer sequences or a smaller contextSize.");
  }
}

void Session::apply_adapter(const PrefixOptions& options) {
  const CapturedLog log;
  // Belongs to the model, which frees it.
  llama_adapter_lora* adapter = api_.llama_adapter_lora_init(model_.get(), options.adapter.c_str());
  auto scale = static_cast<float>(options.adapter_scale);
  if (adapter == nullptr || api_.llama_set_adapters_lora(context_.get(), &adapter, 1, &scale) != 0) {
    throw Error(ErrorCode::kLanguageModel, log.explain("llama.cpp does not take the adapter " + options.adapter));
  }
}

PrefixInfo Session::info() const {
  return {api_.llama_model_n_embd(model_.get()), api_.llama_vocab_n_tokens(vocabulary_),
          api_.llama_n_ctx_seq(context_.get())};
}

std::vector<int32_t> Session::tokenize(const std::string& text, bool special) const {
  // A token has at least one byte, but some vocabularies add one for the text's beginning.
  std::vector<int32_t> tokens(text.size() + 8);
  const int32_t count = api_.llama_tokenize(vocabulary_, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                                            static_cast<int32_t>(tokens.size()), /*add_special=*/false, special);
  if (count < 0) throw Error(ErrorCode::kInternal, "llama_tokenize asks for more tokens than the text has bytes");
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

Written Session::write(const WriteRequest& request, const std::function<bool()>& stopped) {
  struct Clearing {
    Session& session;
    ~Clearing() {
      session.api_.llama_set_abort_callback(session.context_.get(), nullptr, nullptr);
      session.api_.llama_memory_seq_rm(session.api_.llama_get_memory(session.context_.get()), kSequence, -1, -1);
    }
  } clearing{*this};
  const auto asks = [](void* data) { return (*static_cast<const std::function<bool()>*>(data))(); };
  api_.llama_set_abort_callback(context_.get(), asks, const_cast<std::function<bool()>*>(&stopped));

  const auto start = Clock::now();
  Written written;
  for (const Piece& piece : request.pieces) {
    const bool last = &piece == &request.pieces.back();
    decode(piece, written.positions, last && request.logits, stopped);
    written.positions += static_cast<int64_t>(piece.tokens.size());
  }
  if (request.logits) {
    const float* const logits = api_.llama_get_logits_ith(context_.get(), -1);
    if (logits == nullptr) throw Error(ErrorCode::kInternal, "llama.cpp computed no logits");
    written.logits.assign(logits, logits + api_.llama_vocab_n_tokens(vocabulary_));
  }
  written.decode_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  written.bytes = save(request);
  return written;
}

void Session::decode(const Piece& piece, int64_t position, bool last_logits, const std::function<bool()>& stopped) {
  const auto total = static_cast<int64_t>(piece.tokens.size());
  const auto most = static_cast<int64_t>(api_.llama_n_batch(context_.get()));
  for (int64_t begin = 0; begin < total; begin += most) {
    if (stopped()) throw Error(ErrorCode::kAborted, "The write was aborted");
    const int64_t count = std::min(most, total - begin);
    decode_chunk(piece, begin, count, position + begin, last_logits && begin + count == total);
  }
}

// A batch is tokens or rows, never both.
void Session::decode_chunk(const Piece& piece, int64_t begin, int64_t count, int64_t position, bool logits) {
  std::vector<llama_token> tokens(piece.tokens.begin() + begin, piece.tokens.begin() + begin + count);
  std::vector<float> rows;
  if (!piece.rows.empty()) {
    const int64_t width = api_.llama_model_n_embd(model_.get());
    rows.assign(piece.rows.begin() + begin * width, piece.rows.begin() + (begin + count) * width);
  }
  std::vector<llama_pos> positions(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) positions[static_cast<size_t>(i)] = static_cast<llama_pos>(position + i);
  std::vector<int32_t> sequence_counts(static_cast<size_t>(count), 1);
  llama_seq_id sequence = kSequence;
  std::vector<llama_seq_id*> sequences(static_cast<size_t>(count), &sequence);
  std::vector<int8_t> outputs(static_cast<size_t>(count), 0);
  outputs.back() = logits ? 1 : 0;

  llama_batch batch{};
  batch.n_tokens = static_cast<int32_t>(count);
  batch.token = rows.empty() ? tokens.data() : nullptr;
  batch.embd = rows.empty() ? nullptr : rows.data();
  batch.pos = positions.data();
  batch.n_seq_id = sequence_counts.data();
  batch.seq_id = sequences.data();
  batch.logits = outputs.data();
  const CapturedLog log;
  const int32_t status = api_.llama_decode(context_.get(), batch);
  if (status == 2) throw Error(ErrorCode::kAborted, "The write was aborted");
  if (status != 0) throw Error(ErrorCode::kInternal, log.explain("llama_decode gave " + std::to_string(status)));
}

int64_t Session::save(const WriteRequest& request) {
  std::vector<llama_token> tokens;
  for (const Piece& piece : request.pieces) tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
  const std::string temporary = temporary_name(request.file);
  const CapturedLog log;
  const size_t bytes =
      api_.llama_state_seq_save_file(context_.get(), temporary.c_str(), kSequence, tokens.data(), tokens.size());
  // A full disk shows only in the size: the last bytes are written when llama.cpp closes the file, unchecked. A file
  // that is too short would end the process that reads it.
  std::error_code failure;
  const bool whole = bytes != 0 && std::filesystem::file_size(temporary, failure) == bytes && !failure;
  if (whole) std::filesystem::rename(temporary, request.file, failure);
  if (!whole || failure) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Error(
        ErrorCode::kFileWrite,
        log.explain("Cannot write the state file " + request.file + (failure ? " (" + failure.message() + ")" : "")),
        "Its folder must exist, be writable and have room for some megabytes.");
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace kfd::llm
