#include "llm/gguf_file.h"

#include <gguf.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "llm/llm.h"

namespace kfd::llm {
namespace {

// Far above real files; they keep a damaged count from being believed.
constexpr uint64_t kMostTensors = 1 << 20;
constexpr uint64_t kMostValues = 1 << 16;
constexpr uint64_t kLongestName = GGML_MAX_NAME - 1;
constexpr uint64_t kLongestKey = 1 << 16;
constexpr uint64_t kKeptText = 4096;
constexpr uint64_t kLargestTensor = uint64_t{1} << 48;

class Reader {
 public:
  Reader(const std::string& path, std::string what) : what_(std::move(what)), path_(path) {
    std::error_code failure;
    size_ = std::filesystem::file_size(path, failure);
    if (!failure) stream_.open(path, std::ios::binary);
    if (failure || !stream_) {
      throw Error(ErrorCode::kLanguageModel,
                  "Cannot read the " + what_ + " " + path + (failure ? ": " + failure.message() : ""),
                  "Check the path; `npx kfd-native setup` fetches the default language model.");
    }
  }

  uint64_t position() const { return position_; }
  uint64_t size() const { return size_; }

  [[noreturn]] void refuse(const std::string& found) const {
    throw Error(ErrorCode::kLanguageModel, "Expected a whole GGUF file as " + what_ + " but " + path_ + " " + found,
                "The file is damaged or of another format: fetch it again.");
  }

  void read(void* target, uint64_t bytes) {
    claim(bytes);
    if (!stream_.read(static_cast<char*>(target), static_cast<std::streamsize>(bytes))) refuse("cannot be read");
  }
  void skip(uint64_t bytes) {
    claim(bytes);
    if (!stream_.ignore(static_cast<std::streamsize>(bytes))) refuse("cannot be read");
  }
  template <class Number>
  Number number() {
    Number value{};
    read(&value, sizeof value);
    return value;
  }
  uint64_t count(uint64_t most, const char* of) {
    const auto value = number<uint64_t>();
    if (value > most) refuse("says that it has " + std::to_string(value) + " " + of);
    return value;
  }
  // A string longer than `most` is refused; of one longer than `kept` the rest is skipped.
  std::string text(uint64_t most, uint64_t kept) {
    const uint64_t length = count(most, "bytes of text in one place");
    std::string value(std::min(length, kept), '\0');
    read(value.data(), value.size());
    skip(length - value.size());
    return value;
  }

 private:
  void claim(uint64_t bytes) {
    if (bytes > size_ - position_) {
      refuse("ends after " + std::to_string(size_) + " bytes, in the middle of its header");
    }
    position_ += bytes;
  }

  std::string what_, path_;
  std::ifstream stream_;
  uint64_t size_ = 0, position_ = 0;
};

template <class Number>
double as_double(Reader& in) {
  return static_cast<double>(in.number<Number>());
}

double read_number(Reader& in, uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_BOOL:
      return as_double<uint8_t>(in);
    case GGUF_TYPE_INT8:
      return as_double<int8_t>(in);
    case GGUF_TYPE_UINT16:
      return as_double<uint16_t>(in);
    case GGUF_TYPE_INT16:
      return as_double<int16_t>(in);
    case GGUF_TYPE_UINT32:
      return as_double<uint32_t>(in);
    case GGUF_TYPE_INT32:
      return as_double<int32_t>(in);
    case GGUF_TYPE_FLOAT32:
      return as_double<float>(in);
    case GGUF_TYPE_UINT64:
      return as_double<uint64_t>(in);
    case GGUF_TYPE_INT64:
      return as_double<int64_t>(in);
    case GGUF_TYPE_FLOAT64:
      return as_double<double>(in);
    default:
      in.refuse("has a value of the unknown type " + std::to_string(type));
  }
}

GgufValue read_value(Reader& in) {
  GgufValue value;
  value.type = in.number<uint32_t>();
  if (value.type == GGUF_TYPE_STRING) {
    value.text = in.text(in.size(), kKeptText);
  } else if (value.type == GGUF_TYPE_ARRAY) {
    const auto element = in.number<uint32_t>();
    value.count = in.count(in.size(), "elements in an array");
    for (uint64_t i = 0; i < value.count; ++i) {
      if (element == GGUF_TYPE_STRING) {
        in.text(in.size(), 0);
      } else {
        read_number(in, element);
      }
    }
  } else {
    value.number = read_number(in, value.type);
  }
  return value;
}

// Bytes of the tensor's data; its type and shape are checked on the way.
uint64_t tensor_bytes(const Api& api, const Reader& in, const std::string& name, const GgufTensor& tensor) {
  const auto type = static_cast<ggml_type>(tensor.type);
  if (tensor.type >= GGML_TYPE_COUNT || api.ggml_type_size(type) == 0) {
    in.refuse("has the tensor " + name + " of the unknown type " + std::to_string(tensor.type));
  }
  uint64_t elements = 1;
  for (const int64_t length : tensor.shape) {
    if (length < 1 || static_cast<uint64_t>(length) > kLargestTensor / elements) {
      in.refuse("has the tensor " + name + " of an impossible shape");
    }
    elements *= static_cast<uint64_t>(length);
  }
  const int64_t block = api.ggml_blck_size(type);
  if (tensor.shape[0] % block != 0) in.refuse("has the tensor " + name + " whose rows are no whole blocks");
  return elements / static_cast<uint64_t>(block) * api.ggml_type_size(type);
}

uint64_t alignment_of(const Reader& in, const GgufFile& file) {
  const auto entry = file.values.find(GGUF_KEY_GENERAL_ALIGNMENT);
  if (entry == file.values.end()) return GGUF_DEFAULT_ALIGNMENT;
  const auto alignment = static_cast<uint64_t>(entry->second.number);
  if (entry->second.type != GGUF_TYPE_UINT32 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
    in.refuse("has an alignment that is no power of two");
  }
  return alignment;
}

void read_values(Reader& in, uint64_t count, GgufFile& file) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = in.text(kLongestKey, kLongestKey);
    if (!file.values.emplace(key, read_value(in)).second) in.refuse("has the key " + key + " twice");
  }
}

// Returns how many bytes the file must have.
uint64_t read_tensors(const Api& api, Reader& in, uint64_t count, GgufFile& file) {
  const uint64_t alignment = alignment_of(in, file);
  uint64_t end = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string name = in.text(kLongestName, kLongestName);
    GgufTensor tensor;
    const auto dimensions = in.number<uint32_t>();
    if (dimensions < 1 || dimensions > tensor.shape.size()) {
      in.refuse("has the tensor " + name + " of " + std::to_string(dimensions) + " dimensions");
    }
    for (uint32_t d = 0; d < dimensions; ++d) tensor.shape[d] = in.number<int64_t>();
    tensor.type = in.number<uint32_t>();
    tensor.begin = in.number<uint64_t>();
    if (tensor.begin % alignment != 0 || tensor.begin > kLargestTensor) {
      in.refuse("has the tensor " + name + " at a wrong place");
    }
    end = std::max(end, tensor.begin + tensor_bytes(api, in, name, tensor));
    if (!file.tensors.emplace(name, tensor).second) in.refuse("has the tensor " + name + " twice");
  }
  const uint64_t data = (in.position() + alignment - 1) / alignment * alignment;
  for (auto& [name, tensor] : file.tensors) tensor.begin += data;  // they count from the start of the data
  return data + end;
}

}  // namespace

std::string GgufFile::text(const std::string& key) const {
  const auto entry = values.find(key);
  return entry == values.end() || entry->second.type != GGUF_TYPE_STRING ? "" : entry->second.text;
}

GgufFile read_gguf(const Api& api, const std::string& path, const std::string& what) {
  Reader in(path, what);
  GgufFile file{path, {}, {}};
  char magic[4] = {};
  if (in.size() < 24) in.refuse("has only " + std::to_string(in.size()) + " bytes");
  in.read(magic, sizeof magic);
  if (std::memcmp(magic, GGUF_MAGIC, sizeof magic) != 0) in.refuse("does not begin with GGUF");
  const auto version = in.number<uint32_t>();
  if (version < 2 || version > GGUF_VERSION) {
    in.refuse("is of version " + std::to_string(version) + " (known: 2 to " + std::to_string(GGUF_VERSION) + ")");
  }
  const uint64_t tensors = in.count(kMostTensors, "tensors");
  read_values(in, in.count(kMostValues, "values"), file);
  const uint64_t needed = read_tensors(api, in, tensors, file);
  if (in.size() < needed) {
    in.refuse("has " + std::to_string(in.size()) + " bytes where its tensors need " + std::to_string(needed));
  }
  return file;
}

}  // namespace kfd::llm
