#include "trainer/imitation/imitation_options.h"

#include <algorithm>

#include "core/config/config.h"
#include "trainer/train_options.h"

namespace rollmill {

void read_bc_options(Config& c, int world_size, TrainOptions& o) {
  if (o.env.device != "cpu") c.fail("env.device", "behaviour cloning runs on the \"cpu\" so far");
  read_learner_options(c, world_size, o);
  PpoOptions& p = o.ppo;
  const auto number = [&](const char* key, float& value, double low, double high) {
    value = static_cast<float>(
        c.get_float(std::string("bc.") + key, static_cast<double>(value), low, high));
  };
  const auto whole = [&](const char* key, std::int64_t fallback) {
    return static_cast<int>(c.get_int(std::string("bc.") + key, fallback, 1, 1 << 20));
  };
  o.bc.dataset = c.require_string("bc.dataset");
  p.objective = Objective::kImitateWeighted;
  p.epochs = 1;
  p.normalize_advantages = false;
  p.horizon = whole("horizon", 32);
  const int batch = whole("batch_size", 512);
  p.minibatches = whole("batches", 16);
  p.learning_rate = c.get_float("bc.learning_rate", 1e-3, 0, 10);
  p.anneal_learning_rate = c.get_bool("bc.anneal_learning_rate", false);
  p.adam_epsilon = 1e-8f;
  number("gamma", p.gamma, 0, 1);
  number("value_coefficient", p.value_coefficient, 0, 1e3);
  number("max_grad_norm", p.max_grad_norm, 0, 1e9);
  number("adam_beta1", p.adam_beta1, 0, 0.999999);
  number("adam_beta2", p.adam_beta2, 0, 0.999999);
  number("adam_epsilon", p.adam_epsilon, 1e-12, 1);
  p.max_skipped = o.max_skipped;
  const int shares = std::max(o.groups, world_size);  // ranks divide groups
  if (batch % (p.horizon * shares) != 0) {
    c.fail("bc.batch_size", std::to_string(batch) + " steps are not a multiple of bc.horizon = " +
                                std::to_string(p.horizon) +
                                (shares > 1 ? " for each of " + std::to_string(shares) +
                                                  (o.groups > 0 ? " groups" : " ranks")
                                            : ""));
  }
  const std::int64_t steps = std::int64_t{batch} * p.minibatches;
  if (steps >= (std::int64_t{1} << 31))
    c.fail("bc.batches",
           "bc.batch_size x bc.batches = " + std::to_string(steps) + " is 2^31 steps or more");
  o.bc.streams = static_cast<int>(steps / p.horizon);
  const char* idle = "has no effect in behaviour cloning, which steps no environment";
  if (o.env.reset_pool) c.fail("env.reset_pool", idle);
  if (o.env.trace_steps > 0) c.fail("env.trace_steps", idle);
  if (o.curriculum.kind != CurriculumKind::kNone) c.fail("curriculum.kind", idle);
}

void read_init_options(Config& c, int world_size, TrainOptions& o) {
  o.init.policy = c.get_string("init.policy", "");
  o.init.dataset = c.get_string("init.dataset", "");
  const bool on_policy = o.algorithm == "ppo" || o.algorithm == "distill";
  if (!o.init.policy.empty() && !on_policy && o.algorithm != "bc")
    c.fail("init.policy", "is for \"ppo\", \"bc\" and \"distill\" so far");
  if (o.init.dataset.empty()) {
    for (const char* key : {"init.epochs", "init.learning_rate"}) {
      if (c.has(key)) c.fail(key, "needs init.dataset");
    }
    return;
  }
  if (!on_policy) c.fail("init.dataset", "is for \"ppo\" and \"distill\" so far");
  if (o.env.device.starts_with("cuda"))
    c.fail("init.dataset", "is for env.device = \"cpu\" so far");
  // A policy with memory imitates whole streams, one an environment: each group's must make equal minibatches.
  const int share = o.env.num_envs / (o.groups > 0 ? o.groups : world_size);
  if (o.policy.memory != MemoryKind::kNone && share % o.ppo.minibatches != 0) {
    c.fail("init.dataset", "a policy with memory imitates env.num_envs streams, " +
                               std::to_string(share) + " in a group, which ppo.minibatches = " +
                               std::to_string(o.ppo.minibatches) + " must divide");
  }
  o.init.epochs = static_cast<int>(c.get_int("init.epochs", o.init.epochs, 1, 1 << 20));
  o.init.learning_rate = c.get_float("init.learning_rate", o.init.learning_rate, 0, 10);
}

void read_distill_options(Config& c, TrainOptions& o) {
  o.distill.teacher = c.require_string("distill.teacher");
  o.distill.greedy_teacher = c.get_bool("distill.greedy_teacher", false);
  if (o.env.device.starts_with("cuda"))
    c.fail("env.device", "distillation runs on the \"cpu\" so far");
  // Compared with the defaults, so that a run's resolved config can be trained again.
  const PpoOptions defaults;
  if (o.ppo.clip != defaults.clip) c.fail("ppo.clip", "has no effect in distillation");
  if (o.ppo.anneal_clip) c.fail("ppo.anneal_clip", "has no effect in distillation");
  if (o.ppo.target_kl > 0.0f) c.fail("ppo.target_kl", "has no effect in distillation");
  o.ppo.objective = Objective::kImitate;
  o.ppo.normalize_advantages = false;
}

}  // namespace rollmill
