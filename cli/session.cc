#include "cli/session.h"

#include <algorithm>

#include "cli/output.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"

namespace rollmill {

int default_threads(const LaunchInfo& launch) {
  return std::max(1, available_cores() / std::max(1, launch.local_world_size));
}

std::unique_ptr<ProcessGroup> join_ranks(const LaunchInfo& launch, bool cuda) {
  const LeaveOnSignal while_waiting;
  return make_process_group(launch, cuda);
}

void refuse_launcher(const LaunchInfo& launch, const std::string& why) {
  if (!launch.launched) return;
  Error error(ExitCode::kUsage, why);
  if (launch.rank != 0) error.set_reported();
  throw error;
}

}  // namespace rollmill
