#include "generators/policies.h"

#include "core/base/error.h"
#include "generators/scripted_policy.h"
#include "rollout/checkpoint_folder.h"

namespace rollmill {

LoadedPolicy load_named_policy(const std::string& name, const EnvEntry& entry, std::uint64_t seed,
                               bool greedy) {
  LoadedPolicy loaded;
  const EnvSpec spec = entry.spec();
  if (name == "random") {
    loaded.policy = std::make_unique<RandomPolicy>(spec, seed);
  } else if (name == "expert") {
    if (spec.expert == ExpertKind::kNone)
      fail_usage("environment " + spec.id + " has no scripted expert");
    loaded.policy = std::make_unique<ScriptedPolicy>();
  } else {
    const std::string path = find_policy_file(name);
    loaded.file = load_policy(path);
    check_policy_fits(loaded.file, spec, path);
    loaded.policy = std::make_unique<MlpPolicy>(spec, *loaded.file.weights, seed, greedy, "mlp");
  }
  return loaded;
}

}  // namespace rollmill
