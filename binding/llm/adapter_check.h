// Whether a LoRA adapter fits a language model, from their two headers.
#pragma once

#include "llm/gguf_file.h"

namespace kfd::llm {

// Throws kLanguageModel unless `adapter` is a plain LoRA of `model`'s architecture whose every pair (A: in x rank,
// B: rank x out) fits the weight that it is for. Adapters of the token embedding are refused: where that is also the
// output matrix, llama.cpp ends the process.
void check_adapter(const GgufFile& model, const GgufFile& adapter);

}  // namespace kfd::llm
