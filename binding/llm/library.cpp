// Opens libllama and its parts and checks that they are the release that this part was compiled for.
#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <mutex>
#include <optional>
#include <regex>

#include "llm/api.h"
#include "llm/llm.h"
#include "llm/log.h"

namespace kfd::llm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInstallHint = "Run `npx kfd-native setup`, which installs the node-llama-cpp that fits.";

struct Library {
  LibraryOptions options;
  LibraryInfo info;
  Api api;
};

std::mutex library_mutex;
std::optional<Library> library;  // never unloaded once open: contexts and exit handlers may still run its code

// libllama.v0.5.0.so, libllama.cuda.v0.5.0.so: the release is part of the name, the variant before it.
fs::path find_library(const LibraryOptions& options, const std::string& name) {
  const std::string suffix = options.variant == "cpu" ? "" : "\\." + options.variant;
  const std::regex wanted("lib" + name + suffix + "\\.v[0-9][0-9.]*\\.so");
  std::error_code failure;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(options.folder, failure)) {
    if (std::regex_match(entry.path().filename().string(), wanted)) found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  throw Error(ErrorCode::kLlamaMissing,
              "Expected one lib" + name + " of the variant " + options.variant + " in " + options.folder +
                  " but found " + std::to_string(found.size()) + (failure ? " (" + failure.message() + ")" : ""),
              kInstallHint);
}

// Two copies of one library would each have half of the state: backends here, models there.
void refuse_second_copy(const fs::path& libllama) {
  struct Search {
    fs::path wanted;
    std::string other;
  } search{libllama, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* loaded, size_t, void* data) {
        auto& it = *static_cast<Search*>(data);
        const fs::path path(loaded->dlpi_name);
        std::error_code failure;
        const bool is_libllama = path.filename().string().rfind("libllama.", 0) == 0;
        if (is_libllama && !fs::equivalent(path, it.wanted, failure)) it.other = path.string();
        return 0;
      },
      &search);
  if (search.other.empty()) return;
  throw Error(ErrorCode::kLlamaMismatch,
              "Expected to share " + libllama.string() + " but this process has loaded " + search.other,
              "Use the node-llama-cpp (and the GPU variant) that the process already uses.");
}

class Handle {
 public:
  explicit Handle(const fs::path& path) : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) {
      throw Error(ErrorCode::kLlamaMissing, "Cannot open " + path.string() + ": " + dlerror(), kInstallHint);
    }
  }
  ~Handle() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  void keep() { handle_ = nullptr; }

  template <class Function>
  void resolve(const char* name, Function& function) const {
    function = reinterpret_cast<Function>(dlsym(handle_, name));
    if (function == nullptr) {
      throw Error(ErrorCode::kLlamaMismatch,
                  "Expected the libraries of llama.cpp " KFD_LLAMA_VERSION " but " + path_.string() + " has no " + name,
                  kInstallHint);
    }
  }

 private:
  fs::path path_;
  void* handle_;
};

void expect_version(const std::string& found, const std::string& expected, const fs::path& path) {
  if (found == expected) return;
  throw Error(ErrorCode::kLlamaMismatch, "Expected llama.cpp " + expected + " but " + path.string() + " is " + found,
              kInstallHint);
}

// The processor's own code comes as plug-ins (libggml-cpu-*.so), chosen at run time.
std::vector<std::string> load_backends(const Api& api, const std::string& folder) {
  if (api.ggml_backend_reg_count() == 0) api.ggml_backend_load_all_from_path(folder.c_str());
  std::vector<std::string> devices;
  for (size_t i = 0; i < api.ggml_backend_dev_count(); ++i) {
    devices.emplace_back(api.ggml_backend_dev_name(api.ggml_backend_dev_get(i)));
  }
  if (devices.empty()) {
    throw Error(ErrorCode::kLlamaMissing, "No backend of llama.cpp in " + folder + " runs on this processor",
                kInstallHint);
  }
  return devices;
}

Library open(const LibraryOptions& options) {
  Library opened{options, {}, {}};
  const fs::path path = find_library(options, "llama");
  refuse_second_copy(path);
  Handle base(fs::path(options.folder) / "libggml-base.so");
  Handle ggml(find_library(options, "ggml"));
  Handle llama(path);
  Api& api = opened.api;
  llama.resolve("llama_version", api.llama_version);
  opened.info.version = api.llama_version();
  expect_version(opened.info.version, KFD_LLAMA_VERSION, path);
  if (!options.expected_version.empty()) expect_version(opened.info.version, options.expected_version, path);
#define KFD_RESOLVE_LLAMA(name) llama.resolve(#name, api.name);
#define KFD_RESOLVE_GGML(name) ggml.resolve(#name, api.name);
#define KFD_RESOLVE_BASE(name) base.resolve(#name, api.name);
  KFD_LLAMA_FUNCTIONS(KFD_RESOLVE_LLAMA)
  KFD_GGML_FUNCTIONS(KFD_RESOLVE_GGML)
  KFD_GGML_BASE_FUNCTIONS(KFD_RESOLVE_BASE)
#undef KFD_RESOLVE_LLAMA
#undef KFD_RESOLVE_GGML
#undef KFD_RESOLVE_BASE
  base.keep();
  ggml.keep();
  llama.keep();
  silence_unowned_log(api);
  opened.info.path = path.string();
  opened.info.devices = load_backends(api, options.folder);
  api.llama_backend_init();
  return opened;
}

}  // namespace

LibraryInfo open_library(const LibraryOptions& options) {
  const std::lock_guard lock(library_mutex);
  if (!std::regex_match(options.variant, std::regex("[a-z0-9]+"))) {
    throw Error(ErrorCode::kInvalidArgument,
                "Expected a variant such as cpu, cuda or vulkan but received '" + options.variant + "'");
  }
  if (!library) {
    library = open(options);
  } else if (library->options.folder != options.folder || library->options.variant != options.variant) {
    throw Error(ErrorCode::kLlamaMismatch,
                "Expected the libllama of this process, " + library->info.path + ", but " + options.folder +
                    " (variant " + options.variant + ") was asked for",
                "One process can use one libllama: start another process for the other one.");
  } else if (!options.expected_version.empty()) {
    expect_version(library->info.version, options.expected_version, library->info.path);
  }
  return library->info;
}

const Api& api() {
  const std::lock_guard lock(library_mutex);
  if (!library) throw Error(ErrorCode::kLlamaMissing, "No libllama is open", "Call openLlama() first.");
  return library->api;
}

}  // namespace kfd::llm
