#include "cli/session.h"

#include <algorithm>

#include "core/base/thread_pool.h"
#include "core/log/log.h"

namespace rollmill {

Session::Session(const LaunchInfo& launch, bool quiet, bool cuda) {
  init_logging(quiet ? LogLevel::kWarn : LogLevel::kInfo, "", launch.rank);
  group_ = make_process_group(launch, cuda);
}

int default_threads(const LaunchInfo& launch) {
  return std::max(1, available_cores() / std::max(1, launch.local_world_size));
}

}  // namespace rollmill
