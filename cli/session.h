// What every job opens first: logging and the ranks.
#pragma once

#include <memory>

#include "core/dist/process_group.h"

namespace rollmill {

class Session {
 public:
  // Console logging of rank 0 (warnings only when quiet). Joins the other ranks when launched by torchrun.
  Session(const LaunchInfo& launch, bool quiet, bool cuda);
  ProcessGroup& group() { return *group_; }

 private:
  std::unique_ptr<ProcessGroup> group_;
};

// This process's share of the machine's cores, for run.threads = 0.
int default_threads(const LaunchInfo& launch);

}  // namespace rollmill
