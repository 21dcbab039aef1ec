#include "cli/session.h"

#include <algorithm>

#include "core/base/thread_pool.h"

namespace rollmill {

int default_threads(const LaunchInfo& launch) {
  return std::max(1, available_cores() / std::max(1, launch.local_world_size));
}

}  // namespace rollmill
