#include "envs/registry.h"

#include "core/base/error.h"
#include "core/config/nearest.h"

namespace rollmill {

const EnvEntry& find_env(const std::string& id) {
  std::vector<std::string> ids;
  for (const auto& entry : env_registry()) {
    if (id == entry.id) return entry;
    ids.emplace_back(entry.id);
  }
  const std::string near = nearest(id, ids);
  fail_usage("environment '" + id + "' is not known" + (near.empty() ? "" : "; did you mean '" + near + "'?") +
             " (`rollmill envs` lists them)");
}

}  // namespace rollmill
