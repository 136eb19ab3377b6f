// kfd_llm_test [doctest's own options], with KFD_LLAMA_FOLDER and KFD_LANGUAGE_MODEL in the environment
#include "run_tests.h"

int main(int count, char** arguments) { return kfd::test::run_doctest(count, arguments); }
