// Parts of the program that need a large library (libtorch, the CUDA runtime) live in shared
// modules that are opened only when asked for, so that the program itself starts at once and runs
// where the library is missing. A module exports C symbols; one of them is its ABI version, checked
// before any other is called.
#pragma once

#include <string>

namespace rollmill {

// Opens `file` (for example "librollmill_torch.so") once and keeps it open: from
// $ROLLMILL_MODULE_DIR when set, else beside the executable, in ../lib or in ../lib/rollmill.
// Returns the dlopen handle. Throws Error(code of `on_failure`) through the given function when it
// is not there, cannot be loaded, or int version_symbol() differs from `version`.
void* load_module(const char* file, const char* version_symbol, int version,
                  void (*on_failure)(const std::string&));

// dlopen of a file by its path, all symbols resolved, its own ones local; throws through on_failure with the loader's reason.
void* open_module(const std::string& path, void (*on_failure)(const std::string&));

// Address of a symbol of an open module; throws through on_failure.
void* module_symbol(void* module, const char* file, const char* symbol,
                    void (*on_failure)(const std::string&));

}  // namespace rollmill
