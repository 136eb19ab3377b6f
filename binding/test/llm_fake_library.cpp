// Stands in for a libllama of another release, or for one with half of its functions (llm_library_test.cpp).
extern "C" __attribute__((visibility("default"))) const char* llama_version() { return KFD_FAKE_VERSION; }
