#include "trainer/algos/dqn_options.h"

#include "core/config/config.h"
#include "envs/registry.h"
#include "trainer/train_options.h"

namespace rollmill {

void read_dqn_options(Config& c, TrainOptions& run) {
  DqnOptions& o = run.dqn;
  const auto number = [&](const char* name, float& value, double low, double high) {
    value = static_cast<float>(
        c.get_float(std::string("dqn.") + name, static_cast<double>(value), low, high));
  };
  if (!find_env(run.env.id).spec().single_choice()) {
    c.fail("trainer.algorithm",
           "\"dqn\" needs one discrete action, " + run.env.id + " has others; use \"ppo\"");
  }
  read_off_policy_options(c, "dqn", run, o.replay);
  o.target_every = static_cast<int>(c.get_int("dqn.target_every", o.target_every, 1, 1 << 30));
  o.double_q = c.get_bool("dqn.double", o.double_q);
  o.duelling = c.get_bool("dqn.duelling", o.duelling);
  if (!o.duelling && run.policy.trunk == Trunk::kShared) {
    c.fail("policy.trunk",
           "\"shared\" is for values and advantages, which dqn.duelling = false has not; leave it "
           "out");
  }
  number("huber", o.huber, 0, 1e9);
  number("exploration_start", o.exploration_start, 0, 1);
  number("exploration_end", o.exploration_end, 0, 1);
  o.exploration_steps =
      c.get_int("dqn.exploration_steps", o.exploration_steps, 0, std::int64_t{1} << 40);
  number("priority_alpha", o.priority_alpha, 0, 1);
  number("priority_beta", o.priority_beta, 0, 1);
  number("priority_epsilon", o.priority_epsilon, 1e-9, 1e9);
}

}  // namespace rollmill
