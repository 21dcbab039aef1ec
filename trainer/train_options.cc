#include "trainer/train_options.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "envs/registry.h"
#include "rollout/buffer.h"

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
  number("value_clip", o.value_clip, 0, 1e9);
  number("value_coefficient", o.value_coefficient, 0, 1e3);
  number("entropy_coefficient", o.entropy_coefficient, 0, 1e3);
  number("max_grad_norm", o.max_grad_norm, 0, 1e9);
  number("target_kl", o.target_kl, 0, 1e3);
  o.sequence_length = static_cast<int>(c.get_int("ppo.sequence_length", 0, 0, 1 << 20));
  o.burn_in = static_cast<int>(c.get_int("ppo.burn_in", 0, 0, 1 << 20));
  o.normalize_advantages = c.get_bool("ppo.normalize_advantages", o.normalize_advantages);
  number("adam_beta1", o.adam_beta1, 0, 0.999999);
  number("adam_beta2", o.adam_beta2, 0, 0.999999);
  number("adam_epsilon", o.adam_epsilon, 1e-12, 1);
}

PolicyChoices read_policy_choices(Config& c) {
  PolicyChoices p;
  p.frame_stack = static_cast<int>(c.get_int("env.frame_stack", 1, 1, kMaxFrameStack));
  p.hidden.clear();
  for (std::int64_t h : c.get_int_list("policy.hidden", {64, 64}, 1, 4096, 1, 16))
    p.hidden.push_back(static_cast<int>(h));
  if (c.get_choice("policy.activation", "tanh", {"tanh", "relu"}) == "relu")
    p.activation = Activation::kRelu;
  if (c.get_choice("policy.trunk", "separate", {"separate", "shared"}) == "shared")
    p.trunk = Trunk::kShared;
  if (c.get_choice("policy.distribution", "gaussian", {"gaussian", "squashed"}) == "squashed")
    p.distribution = RealDistribution::kSquashed;
  const auto conv = [&](const char* key, std::vector<std::int64_t> fallback, std::int64_t high) {
    return c.get_int_list(key, fallback, 1, high, 0, 8);
  };
  const auto channels = conv("policy.conv_channels", {}, 4096);
  const auto kernels = conv("policy.conv_kernel", std::vector<std::int64_t>(channels.size(), 3), 64);
  const auto strides = conv("policy.conv_stride", std::vector<std::int64_t>(channels.size(), 1), 64);
  for (const auto& [key, list] : {std::pair{"policy.conv_kernel", kernels},
                                  std::pair{"policy.conv_stride", strides}}) {
    if (list.size() != channels.size()) {
      c.fail(key, "has " + std::to_string(list.size()) + " numbers, policy.conv_channels " +
                      std::to_string(channels.size()));
    }
  }
  for (std::size_t l = 0; l < channels.size(); ++l) {
    p.conv.push_back({static_cast<int>(channels[l]), static_cast<int>(kernels[l]),
                      static_cast<int>(strides[l])});
  }
  const std::string memory = c.get_choice("policy.memory", "none", {"none", "gru", "mingru"});
  if (memory != "none") p.memory = memory == "gru" ? MemoryKind::kGru : MemoryKind::kMinGru;
  const auto size = static_cast<int>(c.get_int("policy.memory_size", 64, 1, 4096));
  if (p.memory != MemoryKind::kNone) p.memory_size = size;
  return p;
}

// What a rollout is cut into: samples, or with a memory sequences.
std::int64_t units_of(const TrainOptions& o, std::int64_t envs) {
  const bool sequences = o.policy.memory != MemoryKind::kNone && o.ppo.sequence_length > 0;
  if (o.policy.memory == MemoryKind::kNone) return o.ppo.horizon * envs;
  return sequences ? o.ppo.horizon / o.ppo.sequence_length * envs : envs;
}

void check_sequences(Config& c, const TrainOptions& o) {
  if (o.policy.memory == MemoryKind::kNone) {
    for (const char* key : {"ppo.sequence_length", "ppo.burn_in", "policy.memory_size"}) {
      if (c.has(key)) c.fail(key, "is for a policy with memory; set policy.memory = \"gru\" or \"mingru\"");
    }
    return;
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
    c.fail("ppo.minibatches",
           (sequences ? "an update's " : "ppo.horizon x env.num_envs = ") + std::to_string(units) +
               what + " cannot be cut into " + std::to_string(o.ppo.minibatches) +
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

// What trainer.reduction = "exact" needs.
void check_groups(const Config& c, const TrainOptions& o, int world_size) {
  const std::string groups = std::to_string(o.groups) + " groups";
  if (o.kernels != "fused")
    c.fail("trainer.reduction", "\"exact\" needs trainer.kernels = \"fused\"");
  if (o.groups % world_size != 0) {
    c.fail("trainer.groups",
           groups + " cannot be shared equally by " + std::to_string(world_size) + " ranks");
  }
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

TrainOptions read_train_options(Config& c, int world_size) {
  TrainOptions o;
  o.name = c.get_string("run.name", std::filesystem::path(c.name()).stem().string());
  if (o.name.empty() || o.name.front() == '.' || o.name.find('/') != std::string::npos) {
    c.fail("run.name", "'" + o.name + "' is not a folder's name; choose another place with --out");
  }
  o.seed = static_cast<std::uint64_t>(c.get_int("run.seed", 1, 0));
  o.threads = static_cast<int>(c.get_int("run.threads", 0, 0, 1024));
  o.env = read_env_options(c, 64);
  o.curriculum = read_curriculum(c, o.env);
  o.policy = read_policy_choices(c);
  o.log_std_init = static_cast<float>(c.get_float("policy.log_std_init", 0.0, -20, 5));
  o.normalize_observations = c.get_bool("policy.normalize_observations", false);
  if (o.normalize_observations &&
      find_env(o.env.id).spec().observed.kind != ObservationKind::kReal) {
    c.fail("policy.normalize_observations",
           "the observations of " + o.env.id +
               " are no real numbers: the policy reads them as 0 to 1 "
               "already; set it to false");
  }
  o.clip_observations = static_cast<float>(c.get_int("policy.clip_observations", 10, 1, 1 << 20));
  DeviceChoice device;
  try {
    device = parse_device(o.env.device, "env.device");
  } catch (const Error& e) {
    c.fail("env.device", e.what());
  }
  const bool cuda = device.kind == DeviceChoice::Kind::kCuda;
  if (cuda && o.env.trace_steps > 0)
    c.fail("env.trace_steps",
           "states are kept on the CPU only; use env.device = \"cpu\" or \"check\"");
  o.kernels = c.get_choice("trainer.kernels", cuda ? "reference" : "fused", {"fused", "reference"});
  if (cuda && o.kernels == "fused") {
    c.fail("trainer.kernels", "the fused kernels are the CPU's; with env.device = \"" +
                                  o.env.device + "\" use \"reference\"");
  }
  if (cuda && o.policy.memory != MemoryKind::kNone)
    c.fail("policy.memory", "is for env.device = \"cpu\" so far");
  if (cuda && !o.policy.conv.empty())
    c.fail("policy.conv_channels", "is for env.device = \"cpu\" so far");
  if (const auto problem = conv_problem(find_env(o.env.id).spec().observed, o.policy.conv);
      !problem.empty())
    c.fail("policy.conv_channels", problem + "; choose other convolutions for " + o.env.id);
  const std::string reduction = c.get_choice("trainer.reduction", "fast", {"fast", "exact"});
  const auto groups = static_cast<int>(c.get_int("trainer.groups", 8, 1, 1024));
  if (reduction == "exact") o.groups = groups;
  o.total_steps = c.require_int("trainer.total_steps", 1);
  o.reward_scale = static_cast<float>(c.get_float("trainer.reward_scale", 1.0, 1e-9, 1e9));
  read_ppo(c, o.ppo);
  o.stop_at_return = c.get_float("stop.mean_return", 0);
  o.stop_window =
      static_cast<int>(c.get_int("stop.window", c.has("stop.mean_return") ? 100 : 0, 0, 1 << 20));
  if (o.stop_window > 0 && !c.has("stop.mean_return"))
    c.fail("stop.window", "needs stop.mean_return");
  o.checkpoint_updates = c.get_int("checkpoint.every_updates", 0, 0);
  o.checkpoint_seconds = c.get_float("checkpoint.every_seconds", 60, 0, 1e9);
  o.checkpoint_keep = static_cast<int>(c.get_int("checkpoint.keep", 3, 2, 1 << 20));
  o.evaluation_episodes = static_cast<int>(c.get_int("evaluation.episodes", 1000, 0, 1 << 24));
  o.evaluation_greedy = c.get_bool("evaluation.greedy", true);
  if (o.env.num_envs % world_size != 0) {
    c.fail("env.num_envs", std::to_string(o.env.num_envs) +
                               " environments cannot be shared equally by " +
                               std::to_string(world_size) + " ranks");
  }
  check_minibatches(c, o, world_size);
  if (o.groups > 0) check_groups(c, o, world_size);
  return o;
}

}  // namespace rollmill
