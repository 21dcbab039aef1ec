// The C symbols of librollmill_cuda.so that this folder resolves. The module holds all device code
// and the CUDA runtime; it is opened at the first use of a GPU, so that the program runs where
// there is no driver.
#pragma once

#include "core/device/memory.h"

namespace rollmill {

inline constexpr int kCudaModuleVersion =
    8;  // raise it with any change to a type that crosses the boundary
inline constexpr char kCudaModuleFile[] = "librollmill_cuda.so";

// Address of one of the module's symbols; opens the module at the first call. Throws Error(kDevice)
// that says what to do when the module is missing or of another build.
void* load_cuda_symbol(const char* symbol);

}  // namespace rollmill

extern "C" {
int rollmill_cuda_module_version();
// Number of usable GPUs, or 0 with *reason set to the runtime's words (static storage).
int rollmill_cuda_device_count(const char** reason);
// Owned by the module; one for each GPU. Throws Error(kDevice).
rollmill::Memory* rollmill_cuda_memory(int index);
}
