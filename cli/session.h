// This process among the others of its machine.
#pragma once

#include "core/dist/process_group.h"

namespace rollmill {

// This process's share of the machine's cores, for run.threads = 0.
int default_threads(const LaunchInfo& launch);

}  // namespace rollmill
