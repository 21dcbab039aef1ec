// The C symbols of librollmill_torch.so, the one part of Rollmill that is linked against libtorch.
// The rest of the program sees only these factories, resolved by load_torch_symbol().
#pragma once

#include <type_traits>

#include "core/dist/process_group.h"

namespace rollmill {

// Raise it with any change to a type that crosses the boundary.
inline constexpr int kTorchModuleVersion = 5;
inline constexpr char kTorchModuleFile[] = "librollmill_torch.so";

// Address of one of the module's symbols; opens the module at the first call. Throws Error(kUsage)
// that says what to do when the module is missing or of another build.
void* load_torch_symbol(const char* symbol);

// The module's factories return objects to be owned by the caller; they throw rollmill::Error.
using MakeProcessGroup = ProcessGroup*(const LaunchInfo* launch, bool cuda);

}  // namespace rollmill

extern "C" {
int rollmill_torch_module_version();
rollmill::ProcessGroup* rollmill_make_torch_process_group(const rollmill::LaunchInfo* launch,
                                                          bool cuda);
}

static_assert(
    std::is_same_v<decltype(rollmill_make_torch_process_group), rollmill::MakeProcessGroup>);
