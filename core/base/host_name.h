// This machine's name, as lock files, run statuses and event files give it.
#pragma once

#include <unistd.h>

#include <string>

namespace rollmill {

// "unknown" where the system does not say.
inline std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace rollmill
