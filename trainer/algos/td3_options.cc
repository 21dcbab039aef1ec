#include "trainer/algos/td3_options.h"

#include "core/config/config.h"
#include "envs/registry.h"
#include "trainer/train_options.h"

namespace rollmill {

void read_td3_options(Config& c, TrainOptions& run) {
  Td3Options& o = run.td3;
  if (!find_env(run.env.id).spec().continuous()) {
    c.fail("trainer.algorithm",
           "\"td3\" needs real actions, " + run.env.id + " has choices; use \"dqn\" or \"ppo\"");
  }
  read_off_policy_options(c, "td3", run, o.replay);
  const auto number = [&](const char* name, float& value) {
    value = static_cast<float>(
        c.get_float(std::string("td3.") + name, static_cast<double>(value), 0, 1e6));
  };
  o.policy_every = static_cast<int>(c.get_int("td3.policy_every", o.policy_every, 1, 1 << 20));
  number("exploration_noise", o.exploration_noise);
  number("target_noise", o.target_noise);
  number("target_noise_clip", o.target_noise_clip);
}

}  // namespace rollmill
