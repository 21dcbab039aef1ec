#include "trainer/ppo_options.h"

#include <algorithm>

#include "core/config/config.h"
#include "trainer/train_options.h"

namespace rollmill {

namespace {

void read_ppo(Config& c, PpoOptions& o) {
  const auto number = [&](const char* key, float& value, double low, double high) {
    value = static_cast<float>(
        c.get_float(std::string("ppo.") + key, static_cast<double>(value), low, high));
  };
  o.horizon = static_cast<int>(c.get_int("ppo.horizon", o.horizon, 1, 1 << 20));
  o.epochs = static_cast<int>(c.get_int("ppo.epochs", o.epochs, 1, 1000));
  o.minibatches = static_cast<int>(c.get_int("ppo.minibatches", o.minibatches, 1, 1 << 20));
  o.learning_rate = c.get_float("ppo.learning_rate", o.learning_rate, 0, 10);
  o.anneal_learning_rate = c.get_bool("ppo.anneal_learning_rate", o.anneal_learning_rate);
  number("gamma", o.gamma, 0, 1);
  number("gae_lambda", o.gae_lambda, 0, 1);
  number("clip", o.clip, 1e-6, 10);
  o.anneal_clip = c.get_bool("ppo.anneal_clip", o.anneal_clip);
  number("value_clip", o.value_clip, 0, 1e9);
  number("value_huber", o.value_huber, 0, 1e9);
  number("value_coefficient", o.value_coefficient, 0, 1e3);
  number("entropy_coefficient", o.entropy_coefficient, 0, 1e3);
  o.entropy_coefficient_end = o.entropy_coefficient;
  number("entropy_coefficient_end", o.entropy_coefficient_end, 0, 1e3);
  number("max_grad_norm", o.max_grad_norm, 0, 1e9);
  number("target_kl", o.target_kl, 0, 1e3);
  o.sequence_length = static_cast<int>(c.get_int("ppo.sequence_length", 0, 0, 1 << 20));
  o.burn_in = static_cast<int>(c.get_int("ppo.burn_in", 0, 0, 1 << 20));
  o.overlap = c.get_bool("ppo.overlap", o.overlap);
  o.normalize_advantages = c.get_bool("ppo.normalize_advantages", o.normalize_advantages);
  o.normalize_rewards = c.get_bool("ppo.normalize_rewards", o.normalize_rewards);
  number("clip_rewards", o.clip_rewards, 0, 1e9);
  number("adam_beta1", o.adam_beta1, 0, 0.999999);
  number("adam_beta2", o.adam_beta2, 0, 0.999999);
  number("adam_epsilon", o.adam_epsilon, 1e-12, 1);
}

// What a rollout is cut into: samples, or with a memory sequences.
std::int64_t units_of(const TrainOptions& o, std::int64_t envs) {
  const bool sequences = o.policy.memory != MemoryKind::kNone && o.ppo.sequence_length > 0;
  if (o.policy.memory == MemoryKind::kNone) return o.ppo.horizon * envs;
  return sequences ? o.ppo.horizon / o.ppo.sequence_length * envs : envs;
}

void check_sequences(Config& c, const TrainOptions& o) {
  if (o.policy.memory == MemoryKind::kNone) {
    // Defaults are no mistake: a resolved config has them.
    const char* cure = "is for a policy with memory; set policy.memory = \"gru\" or \"mingru\"";
    if (o.ppo.sequence_length > 0) c.fail("ppo.sequence_length", cure);
    if (o.ppo.burn_in > 0) c.fail("ppo.burn_in", cure);
    if (c.has("policy.memory_size") && c.get_int("policy.memory_size", 64) != 64)
      c.fail("policy.memory_size", cure);
    return;
  }
  if (o.ppo.burn_in >
      o.ppo.horizon - (o.ppo.sequence_length > 0 ? o.ppo.sequence_length : o.ppo.horizon)) {
    c.fail("ppo.burn_in",
           "is longer than what lies before the last sequence; set a "
           "ppo.sequence_length below ppo.horizon, or a shorter burn-in");
  }
  if (o.ppo.sequence_length > 0 && o.ppo.horizon % o.ppo.sequence_length != 0) {
    c.fail("ppo.sequence_length", "ppo.horizon = " + std::to_string(o.ppo.horizon) +
                                      " steps cannot be cut into sequences of " +
                                      std::to_string(o.ppo.sequence_length) + "; choose a divisor");
  }
}

void check_minibatches(Config& c, const TrainOptions& o, int world_size) {
  check_sequences(c, o);
  const bool sequences = o.policy.memory != MemoryKind::kNone;
  const std::string what = sequences ? " sequences" : " samples";
  const std::int64_t samples = static_cast<std::int64_t>(o.ppo.horizon) * o.env.num_envs;
  const std::int64_t units = units_of(o, o.env.num_envs), local = units / world_size;
  if (units % o.ppo.minibatches != 0) {
    c.fail("ppo.minibatches", (sequences ? "an update's " : "ppo.horizon x env.num_envs = ") +
                                  std::to_string(units) + what + " cannot be cut into " +
                                  std::to_string(o.ppo.minibatches) +
                                  " equal minibatches; choose a divisor");
  }
  if (samples >= (std::int64_t{1} << 31)) {
    c.fail("ppo.horizon",
           "ppo.horizon x env.num_envs = " + std::to_string(samples) + " is 2^31 samples or more");
  }
  if (local % o.ppo.minibatches != 0) {
    c.fail("ppo.minibatches", "each of " + std::to_string(world_size) + " ranks has " +
                                  std::to_string(local) + what + " an update, not a multiple of " +
                                  std::to_string(o.ppo.minibatches));
  }
}

// What trainer.reduction = "exact" needs of an update's samples.
void check_groups(const Config& c, const TrainOptions& o) {
  const std::string groups = std::to_string(o.groups) + " groups";
  if (o.env.num_envs % o.groups != 0) {
    c.fail("trainer.groups",
           groups + " do not divide env.num_envs = " + std::to_string(o.env.num_envs));
  }
  if (units_of(o, o.env.num_envs / o.groups) % o.ppo.minibatches != 0) {
    c.fail("trainer.groups", "the samples of each of " + groups + " cannot be cut into " +
                                 std::to_string(o.ppo.minibatches) + " equal minibatches");
  }
}

}  // namespace

PpoOptions annealed(const PpoOptions& options, double done) {
  PpoOptions now = options;
  const double left = std::max(0.0, 1.0 - done);
  if (options.anneal_learning_rate) now.learning_rate = options.learning_rate * left;
  // 0 would clip every gradient away: the last updates keep a sliver.
  if (options.anneal_clip)
    now.clip = std::max(1e-6f, static_cast<float>(static_cast<double>(options.clip) * left));
  if (options.entropy_coefficient_end >= 0.0f &&
      options.entropy_coefficient_end != options.entropy_coefficient) {
    const auto end = static_cast<double>(options.entropy_coefficient_end);
    now.entropy_coefficient =
        static_cast<float>(end + (static_cast<double>(options.entropy_coefficient) - end) * left);
  }
  return now;
}

void read_learner_options(Config& c, int world_size, TrainOptions& o) {
  const bool cuda = o.env.device.starts_with("cuda");
  o.kernels = c.get_choice("trainer.kernels", cuda ? "reference" : "fused", {"fused", "reference"});
  o.bf16 = c.get_choice("trainer.precision", "float32", {"float32", "bf16"}) == "bf16";
  const std::string reduction = c.get_choice("trainer.reduction", "fast", {"fast", "exact"});
  const auto groups = static_cast<int>(c.get_int("trainer.groups", 8, 1, 1024));
  if (reduction == "fast") return;
  o.groups = groups;
  if (o.kernels != "fused")
    c.fail("trainer.reduction", "\"exact\" needs trainer.kernels = \"fused\"");
  if (groups % world_size != 0) {
    c.fail("trainer.groups", std::to_string(groups) + " groups cannot be shared equally by " +
                                 std::to_string(world_size) + " ranks");
  }
}

void read_ppo_options(Config& c, int world_size, TrainOptions& o) {
  read_learner_options(c, world_size, o);
  read_ppo(c, o.ppo);
  if (o.env.device.starts_with("cuda") && o.ppo.normalize_rewards)
    c.fail("ppo.normalize_rewards", "is for env.device = \"cpu\" so far; set trainer.reward_scale");
  if (o.ppo.overlap && o.policy.memory != MemoryKind::kNone)
    c.fail("ppo.overlap", "is for policies without memory so far");
  if (o.ppo.overlap && o.algorithm != "ppo")
    c.fail("ppo.overlap", "is PPO's; leave it out with " + o.algorithm);
  o.ppo.max_skipped = o.max_skipped;
  check_minibatches(c, o, world_size);
  if (o.groups > 0) check_groups(c, o);
}

}  // namespace rollmill
