// Prefixes of the real language model: rows against tokens, requests that are refused, aborts, the end.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <future>
#include <limits>

#include "llm/gguf_file.h"
#include "llm_gguf_writer.h"
#include "llm_helpers.h"

using namespace kfd::llm;
using namespace kfd::test;

namespace {

namespace fs = std::filesystem;

constexpr const char* kText =
    "<|im_start|>user\nWhat is the capital of France, and how many people live there?<|im_end|>\n";

std::string state_file(const std::string& name) { return (scratch() / (name + ".state")).string(); }

// The model's own embedding of tokens, read from its file and dequantised by ggml: a soft prompt that means a text.
class Embedding {
 public:
  explicit Embedding(const PrefixInfo& info) : width_(info.width), stream_(language_model(), std::ios::binary) {
    tensor_ = read_gguf(api(), language_model(), "language model").tensors.at("token_embd.weight");
    void* const base = dlopen((fs::path(llama_folder()) / "libggml-base.so").c_str(), RTLD_NOW | RTLD_NOLOAD);
    REQUIRE(base != nullptr);
    traits_ = reinterpret_cast<decltype(traits_)>(dlsym(base, "ggml_get_type_traits"));
  }

  std::vector<float> rows(const std::vector<int32_t>& tokens) {
    const auto type = static_cast<ggml_type>(tensor_.type);
    const uint64_t bytes = api().ggml_type_size(type) * static_cast<uint64_t>(width_ / api().ggml_blck_size(type));
    std::vector<char> packed(bytes);
    std::vector<float> rows(tokens.size() * static_cast<size_t>(width_));
    for (size_t i = 0; i < tokens.size(); ++i) {
      stream_.seekg(static_cast<std::streamoff>(tensor_.begin + bytes * static_cast<uint64_t>(tokens[i])));
      stream_.read(packed.data(), static_cast<std::streamsize>(bytes));
      traits_(type)->to_float(packed.data(), rows.data() + i * static_cast<size_t>(width_), width_);
    }
    return rows;
  }

 private:
  int64_t width_;
  std::ifstream stream_;
  GgufTensor tensor_;
  decltype(&::ggml_get_type_traits) traits_ = nullptr;
};

std::vector<int32_t> part(const std::vector<int32_t>& tokens, size_t begin, size_t end) {
  return {tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.begin() + static_cast<std::ptrdiff_t>(end)};
}

WriteRequest tokens_only(const std::string& name, size_t count) {
  return {state_file(name), {{std::vector<int32_t>(count, 100), {}}}, true};
}

struct Prefixes {
  Loaded loaded = load(small_options());
  Prefix& prefix = *loaded.prefix;
  std::vector<int32_t> tokens = prefix.tokenize(kText, true);
};

template <class Outcome>
std::optional<ErrorCode> code_of(const Outcome& outcome) {
  return outcome.error ? std::optional(outcome.error->code()) : std::nullopt;
}

bool no_temporary_files() {
  for (const auto& entry : fs::directory_iterator(scratch())) {
    if (entry.path().extension() == ".tmp") return false;
  }
  return true;
}

}  // namespace

TEST_CASE_FIXTURE(Prefixes, "the language model is the one that the tests mean") {
  CHECK(loaded.info.width == 576);
  CHECK(loaded.info.vocabulary == 49152);
  CHECK(loaded.info.context_size == 256);
  CHECK(tokens.front() == 1);  // <|im_start|>
  CHECK(prefix.tokenize(kText, false).front() != 1);
  CHECK(prefix.tokenize("", false).empty());
}

TEST_CASE_FIXTURE(Prefixes, "embedding rows of tokens are the tokens, bit for bit") {
  Embedding embedding(loaded.info);
  const size_t total = tokens.size();
  REQUIRE(total > 15);
  const std::vector<float> rows = embedding.rows(tokens);
  const std::vector<int32_t> middle = part(tokens, 5, 12);
  const Written as_tokens = write(prefix, {state_file("tokens"), {{tokens, {}}}, true});
  const Written as_rows = write(prefix, {state_file("rows"), {{tokens, rows}}, true});
  const Written mixed =
      write(prefix, {state_file("mixed"),
                     {{part(tokens, 0, 5), {}}, {middle, embedding.rows(middle)}, {part(tokens, 12, total), {}}},
                     true});
  CHECK(as_tokens.positions == static_cast<int64_t>(total));
  CHECK(as_tokens.bytes == static_cast<int64_t>(fs::file_size(state_file("tokens"))));
  CHECK(as_rows.logits == as_tokens.logits);
  CHECK(mixed.logits == as_tokens.logits);
  // Keys, values and the token list of the sequence.
  CHECK(contents(state_file("rows")) == contents(state_file("tokens")));
  CHECK(contents(state_file("mixed")) == contents(state_file("tokens")));

  std::vector<float> moved = embedding.rows(middle);
  for (float& value : moved) value += 0.05F;
  const Written perturbed = write(
      prefix, {state_file("moved"), {{part(tokens, 0, 5), {}}, {middle, moved}, {part(tokens, 12, total), {}}}, true});
  CHECK(perturbed.logits != as_tokens.logits);
}

TEST_CASE_FIXTURE(Prefixes, "a prefix leaves nothing behind") {
  const WriteRequest request{state_file("first"), {{tokens, {}}}, true};
  const Written first = write(prefix, request);
  write(prefix, tokens_only("between", 200));
  CHECK(write(prefix, {state_file("again"), {{tokens, {}}}, true}).logits == first.logits);
  CHECK(contents(state_file("again")) == contents(state_file("first")));
}

TEST_CASE("an adapter counts with its scale") {
  PrefixOptions options = small_options();
  const auto logits = [&] {
    const Loaded loaded = load(options);
    return write(*loaded.prefix, {state_file("adapter"), {{loaded.prefix->tokenize(kText, true), {}}}, true}).logits;
  };
  const std::vector<float> without = logits();
  options.adapter = (scratch() / "zero.gguf").string();
  write_gguf(options.adapter, small_adapter(0));
  CHECK(logits() == without);
  options.adapter = (scratch() / "one.gguf").string();
  write_gguf(options.adapter, small_adapter(0.5F));
  const std::vector<float> with = logits();
  CHECK(with != without);
  options.adapter_scale = 0.25;
  CHECK(logits() != with);
}

TEST_CASE("more positions than fit into one batch") {
  PrefixOptions options = small_options();
  options.context_size = 530;
  const Loaded loaded = load(options);
  CHECK(loaded.info.context_size >= 530);
  CHECK(write(*loaded.prefix, tokens_only("long", 520)).positions == 520);
}

TEST_CASE_FIXTURE(Prefixes, "malformed requests are refused before llama.cpp sees them") {
  const auto refused = [&](std::vector<Piece> pieces, const std::string& part_of_message) {
    std::string message;
    CHECK(refusal([&] { write(prefix, {state_file("refused"), std::move(pieces), false}); }, &message) ==
          ErrorCode::kInvalidArgument);
    INFO(message);
    CHECK(message.find(part_of_message) != std::string::npos);
  };
  const std::vector<float> row(576, 0.1F);
  std::vector<float> bad = row;
  refused({}, "at least one piece");
  refused({{{}, {}}}, "at least one token");
  refused({{{49152}, {}}}, "0 to 49151");
  refused({{{-1}, {}}}, "0 to 49151");
  refused({{{3}, std::vector<float>(575)}}, "rows of 576 values");
  refused({{{3, 5}, row}}, "2 rows");
  bad[7] = std::numeric_limits<float>::quiet_NaN();
  refused({{{3}, bad}}, "NaN or infinity in row 0");
  bad[7] = -std::numeric_limits<float>::infinity();
  refused({{{1}, {}}, {{3}, bad}}, "pieces[1].rows");
  refused({{std::vector<int32_t>(257, 1), {}}}, "at most 256 positions");
  CHECK(refusal([&] { write(prefix, {"", {{{1}, {}}}, false}); }) == ErrorCode::kInvalidArgument);
  CHECK_FALSE(fs::exists(state_file("refused")));
  CHECK(write(prefix, tokens_only("whole", 256)).positions == 256);
}

TEST_CASE("options out of range are refused") {
  open_library({llama_folder(), "cpu", ""});
  for (const auto change :
       {+[](PrefixOptions& o) { o.sequences = 0; }, +[](PrefixOptions& o) { o.sequences = 65; },
        +[](PrefixOptions& o) { o.context_size = 0; }, +[](PrefixOptions& o) { o.threads = 0; },
        +[](PrefixOptions& o) { o.context_size = 1 << 20; }, +[](PrefixOptions& o) { o.gpu_layers = -1; },
        +[](PrefixOptions& o) { o.model.clear(); }, +[](PrefixOptions& o) { o.adapter_scale = 0; },
        +[](PrefixOptions& o) { o.adapter_scale = NAN; }, +[](PrefixOptions& o) { o.adapter_scale = 1e300; }}) {
    PrefixOptions options = small_options();
    change(options);
    CHECK(refusal([&] { load(options); }) == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE_FIXTURE(Prefixes, "a state file that cannot be written leaves nothing half-made") {
  const std::string missing = (scratch() / "nowhere" / "x.state").string();
  CHECK(refusal([&] { write(prefix, {missing, {{tokens, {}}}, false}); }) == ErrorCode::kFileWrite);
  const std::string folder = (scratch() / "folder.state").string();
  fs::create_directories(fs::path(folder) / "full");
  CHECK(refusal([&] { write(prefix, {folder, {{tokens, {}}}, false}); }) == ErrorCode::kFileWrite);
  CHECK(no_temporary_files());
}

TEST_CASE_FIXTURE(Prefixes, "a full disk is noticed, even where it takes all but the last byte") {
  const auto bytes = static_cast<rlim_t>(write(prefix, {state_file("room"), {{tokens, {}}}, false}).bytes);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t room : {bytes / 2, bytes - 1}) {
    const rlimit limit{room, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    const auto code = refusal([&] { write(prefix, {state_file("full"), {{tokens, {}}}, false}); });
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(code == ErrorCode::kFileWrite);
    CHECK_FALSE(fs::exists(state_file("full")));
    CHECK(no_temporary_files());
  }
  std::signal(SIGXFSZ, handler);
}

TEST_CASE_FIXTURE(Prefixes, "a running write stops within the decode, a waiting one at once") {
  using Clock = std::chrono::steady_clock;
  std::promise<WriteOutcome> running, waiting;
  const auto first =
      prefix.write(tokens_only("running", 256), [&](WriteOutcome o) { running.set_value(std::move(o)); });
  const auto second =
      prefix.write(tokens_only("waiting", 256), [&](WriteOutcome o) { waiting.set_value(std::move(o)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the whole decode takes a second and more
  const auto cancelled = Clock::now();
  second->cancel();
  CHECK(code_of(waiting.get_future().get()) == ErrorCode::kAborted);
  first->cancel();
  first->cancel();
  CHECK(code_of(running.get_future().get()) == ErrorCode::kAborted);
  CHECK(Clock::now() - cancelled < std::chrono::milliseconds(500));
  CHECK_FALSE(fs::exists(state_file("running")));
  // The aborted decode left positions behind; the next one must not see them.
  const Written after = write(prefix, {state_file("after"), {{tokens, {}}}, true});
  CHECK(after.logits == write(*load(small_options()).prefix, {state_file("fresh"), {{tokens, {}}}, true}).logits);
}

TEST_CASE("closing aborts everything and is final") {
  Loaded loaded = load(small_options());
  std::vector<std::promise<WriteOutcome>> promises(3);
  for (auto& promise : promises) {
    loaded.prefix->write(tokens_only("closed", 256), [&](WriteOutcome o) { promise.set_value(std::move(o)); });
  }
  loaded.prefix->close();
  loaded.prefix->close();
  for (auto& promise : promises) CHECK(code_of(promise.get_future().get()) == ErrorCode::kAborted);
  CHECK(refusal([&] { loaded.prefix->tokenize("a", false); }) == ErrorCode::kDisposed);
  CHECK(refusal([&] { write(*loaded.prefix, tokens_only("late", 1)); }) == ErrorCode::kDisposed);
}

TEST_CASE("closing aborts a load") {
  open_library({llama_folder(), "cpu", ""});
  std::promise<LoadOutcome> promise;
  const auto prefix = Prefix::load(small_options(), [&](LoadOutcome o) { promise.set_value(std::move(o)); });
  CHECK(refusal([&] { prefix->tokenize("a", false); }) == ErrorCode::kInvalidArgument);
  prefix->close();
  CHECK(code_of(promise.get_future().get()) == ErrorCode::kAborted);
}
