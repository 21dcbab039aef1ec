#include "trainer/algos/sac_options.h"

#include "core/config/config.h"
#include "envs/registry.h"
#include "trainer/train_options.h"

namespace rollmill {

void read_sac_options(Config& c, TrainOptions& run) {
  SacOptions& o = run.sac;
  const EnvSpec& spec = find_env(run.env.id).spec();
  if (!spec.continuous()) {
    c.fail("trainer.algorithm",
           "\"sac\" needs real actions, " + run.env.id + " has choices; use \"dqn\" or \"ppo\"");
  }
  read_off_policy_options(c, "sac", run, o.replay);
  const auto number = [&](const char* name, float value, double low, double high) {
    return static_cast<float>(
        c.get_float(std::string("sac.") + name, static_cast<double>(value), low, high));
  };
  o.temperature = number("temperature", o.temperature, 1e-9, 1e6);
  o.automatic_temperature = c.get_bool("sac.automatic_temperature", o.automatic_temperature);
  o.target_entropy = number("target_entropy", -static_cast<float>(spec.real_actions()), -1e6, 1e6);
}

}  // namespace rollmill
