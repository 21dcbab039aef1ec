#include "trainer/replay/off_policy_options.h"

#include <algorithm>

#include "core/config/config.h"
#include "envs/registry.h"
#include "trainer/train_options.h"

namespace rollmill {
namespace {

void refuse_what_is_not_done(Config& c, const std::string& section, const TrainOptions& run) {
  const std::string who = "\"" + section + "\"";
  if (section == "dqn" && run.env.device.starts_with("cuda") && !run.policy.conv.empty()) {
    c.fail("policy.conv_channels",
           who + " has no convolutions on a GPU; leave it out, or use env.device = \"cpu\"");
  }
  if (c.has("trainer.precision"))
    c.fail("trainer.precision", "is for ppo, bc and distill; " + who + " trains in float32");
  if (c.has("trainer.reduction"))
    c.fail("trainer.reduction",
           "is for ppo, bc and distill; " + who + " gives the same weights on any number of ranks");
  if (run.policy.frame_stack > 1)
    c.fail("env.frame_stack", who + " reads single frames; set it to 1");
  if (run.policy.memory != MemoryKind::kNone)
    c.fail("policy.memory", who + " draws single transitions; set it to \"none\"");
  // Compared with the defaults, so that a run's resolved config can be trained again.
  if (c.has("policy.memory_size") && c.get_int("policy.memory_size", 64) != 64)
    c.fail("policy.memory_size", "is for a policy with memory, which " + who + " has not");
  if (run.log_std_init != 0.0f && section != "sac")
    c.fail("policy.log_std_init", who + " has no deviations; leave it out");
  if (section != "dqn" && !run.policy.conv.empty())
    c.fail("policy.conv_channels", who + " has critics without convolutions; leave it out");
  const PolicyChoices defaults;
  const char* own = " has a network of its own kind; leave it out";
  if (run.policy.distribution != defaults.distribution) c.fail("policy.distribution", who + own);
  if (run.policy.trunk != defaults.trunk && section != "dqn") c.fail("policy.trunk", who + own);
  if (run.normalize_observations) {
    c.fail("policy.normalize_observations",
           who + " learns from observations older than any statistics; set it to false");
  }
  if (section != "dqn" && find_env(run.env.id).spec().mask_columns > 0) {
    c.fail("trainer.algorithm",
           run.env.id + " has action masks, which " + who + " does not read; use \"ppo\"");
  }
}

}  // namespace

void read_off_policy_options(Config& c, const std::string& section, const TrainOptions& run,
                             OffPolicyOptions& o) {
  refuse_what_is_not_done(c, section, run);
  const auto key = [&](const char* name) { return section + "." + name; };
  const auto whole = [&](const char* name, auto& value, std::int64_t low, std::int64_t high) {
    value = static_cast<std::remove_reference_t<decltype(value)>>(
        c.get_int(key(name), value, low, high));
  };
  const auto number = [&](const char* name, float& value, double low, double high) {
    value = static_cast<float>(c.get_float(key(name), static_cast<double>(value), low, high));
  };
  whole("buffer_size", o.buffer_size, 1, std::int64_t{1} << 31);
  whole("learning_starts", o.learning_starts, 0, std::int64_t{1} << 40);
  whole("train_every", o.train_every, 1, 1 << 20);
  whole("updates_per_step", o.updates_per_step, 0, 1 << 20);
  // About a thousand steps of all environments, in whole turns.
  const int turns = std::max(1, 1'000 / run.env.num_envs / o.train_every);
  o.report_every = turns * o.train_every;
  whole("report_every", o.report_every, 1, 1 << 24);
  whole("batch_size", o.batch_size, 1, 1 << 16);
  whole("n_step", o.n_step, 1, 1 << 12);
  number("gamma", o.gamma, 0, 1);
  number("tau", o.tau, 0, 1);
  o.learning_rate = c.get_float(key("learning_rate"), o.learning_rate, 0, 10);
  o.anneal_learning_rate = c.get_bool(key("anneal_learning_rate"), o.anneal_learning_rate);
  number("max_grad_norm", o.max_grad_norm, 0, 1e9);
  number("adam_beta1", o.adam_beta1, 0, 0.999999);
  number("adam_beta2", o.adam_beta2, 0, 0.999999);
  number("adam_epsilon", o.adam_epsilon, 1e-12, 1);
  if (o.report_every % o.train_every != 0) {
    c.fail(key("report_every"), std::to_string(o.report_every) + " steps are no whole turns of " +
                                    section + ".train_every = " + std::to_string(o.train_every) +
                                    "; choose a multiple");
  }
  const std::int64_t least = std::int64_t{o.n_step} * run.env.num_envs;
  if (o.buffer_size < least) {
    c.fail(key("buffer_size"), std::to_string(o.buffer_size) + " transitions of " +
                                   std::to_string(run.env.num_envs) + " environments hold no " +
                                   std::to_string(o.n_step) + " steps of each; give it at least " +
                                   std::to_string(least));
  }
}

ReplayConfig replay_config(const TrainOptions& run, const OffPolicyOptions& o) {
  ReplayConfig c;
  c.num_envs = run.env.num_envs;
  c.capacity = o.buffer_size;
  c.n_step = o.n_step;
  c.gamma = o.gamma;
  c.reward_scale = run.reward_scale;
  return c;
}

}  // namespace rollmill
