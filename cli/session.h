// This process among the others of its machine.
#pragma once

#include <string>

#include "core/dist/process_group.h"

namespace rollmill {

// This process's share of the machine's cores, for run.threads = 0.
int default_threads(const LaunchInfo& launch);

// Throws a usage error under torchrun and the like, for commands of one process; rank 0 alone will say it.
void refuse_launcher(const LaunchInfo& launch, const std::string& why);

}  // namespace rollmill
