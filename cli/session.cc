#include "cli/session.h"

#include "core/log/log.h"

namespace rollmill {

Session::Session(const LaunchInfo& launch, bool quiet, const std::string&, const std::string&) {
  init_logging(quiet ? LogLevel::kWarn : LogLevel::kInfo, "", launch.rank);
  group_ = make_process_group(launch, /*cuda=*/false);
}

}  // namespace rollmill
