// This process among the others of its machine.
#pragma once

#include <memory>
#include <string>

#include "core/dist/process_group.h"

namespace rollmill {

// This process's share of the machine's cores, for run.threads = 0.
int default_threads(const LaunchInfo& launch);

// The other ranks of a job, once all have come. A signal ends the process while it waits (LeaveOnSignal).
std::unique_ptr<ProcessGroup> join_ranks(const LaunchInfo& launch, bool cuda);

// Throws a usage error under torchrun and the like, for commands of one process; rank 0 alone will say it.
void refuse_launcher(const LaunchInfo& launch, const std::string& why);

}  // namespace rollmill
