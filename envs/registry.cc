#include "envs/registry.h"

#include <algorithm>
#include <cctype>

#include "core/base/error.h"
#include "core/config/nearest.h"
#include "envs/env.h"

namespace rollmill {
namespace {

std::vector<EnvEntry>& table() {
  static std::vector<EnvEntry> entries = builtin_envs();
  return entries;
}

}  // namespace

const std::vector<EnvEntry>& env_registry() { return table(); }

void register_envs(const EnvEntry* entries, int count, const std::string& where) {
  std::vector<EnvEntry> all = table();
  for (int k = 0; k < count; ++k) {
    const EnvEntry& added = entries[k];
    if (added.id == nullptr || *added.id == '\0')
      fail_data(where + ": an environment without an id");
    for (const EnvEntry& known : all) {
      if (std::string(known.id) == added.id)
        fail_data(where + ": environment '" + added.id + "' is already there; choose another id");
    }
    all.push_back(added);
  }
  table() = std::move(all);
}

const EnvEntry& find_env(const std::string& id) {
  std::vector<std::string> ids;
  for (const auto& entry : env_registry()) {
    if (id == entry.id) return entry;
    ids.emplace_back(entry.id);
  }
  std::string near = nearest(id, ids);
  for (const std::string& known :
       ids) {  // "cartpole" is farther from "CartPole-v1" than a typo, but clear all the same
    if (near.empty() && !id.empty() && known.size() > id.size() &&
        std::equal(id.begin(), id.end(), known.begin(),
                   [](char a, char b) { return std::tolower(a) == std::tolower(b); })) {
      near = known;
    }
  }
  fail_usage("environment '" + id + "' is not known" +
             (near.empty() ? "" : "; did you mean '" + near + "'?") +
             " (`rollmill envs` lists them; a plugin's need --plugin PATH.so)");
}

const char* observation_kind_name(ObservationKind kind) {
  switch (kind) {
    case ObservationKind::kReal: return "real";
    case ObservationKind::kChoices: return "choices";
    case ObservationKind::kBits: return "bits";
    case ObservationKind::kPixels: return "pixels";
  }
  return "?";
}

std::string outcome_name(const EnvSpec& spec, int outcome) {
  if (outcome == kOutcomeNotFinite) return "not_finite";
  const auto k = static_cast<std::size_t>(outcome);
  return k < spec.outcomes.size() ? spec.outcomes[k] : "reason_" + std::to_string(outcome);
}

}  // namespace rollmill
