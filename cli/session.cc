#include "cli/session.h"

#include "core/log/log.h"

namespace rollmill {

Session::Session(const LaunchInfo& launch, bool quiet, bool cuda) {
  init_logging(quiet ? LogLevel::kWarn : LogLevel::kInfo, "", launch.rank);
  group_ = make_process_group(launch, cuda);
}

}  // namespace rollmill
