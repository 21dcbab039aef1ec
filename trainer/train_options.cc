#include "trainer/train_options.h"

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "envs/registry.h"
#include "rollout/buffer.h"
#include "rollout/mlp/distribution.h"
#include "trainer/ignored_inputs.h"

namespace rollmill {

namespace {

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
  const std::string distribution =
      c.get_choice("policy.distribution", "gaussian", {"gaussian", "squashed", "beta"});
  if (distribution != "gaussian") {
    p.distribution = distribution == "beta" ? RealDistribution::kBeta : RealDistribution::kSquashed;
  }
  const auto conv = [&](const char* key, std::vector<std::int64_t> fallback, std::int64_t high) {
    return c.get_int_list(key, fallback, 1, high, 0, 8);
  };
  const auto channels = conv("policy.conv_channels", {}, 4096);
  const auto kernels =
      conv("policy.conv_kernel", std::vector<std::int64_t>(channels.size(), 3), 64);
  const auto strides =
      conv("policy.conv_stride", std::vector<std::int64_t>(channels.size(), 1), 64);
  for (const auto& [key, list] :
       {std::pair{"policy.conv_kernel", kernels}, std::pair{"policy.conv_stride", strides}}) {
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

void read_actor_ignores(Config& c, TrainOptions& o) {
  constexpr const char* kKey = "policy.actor_ignores";
  o.actor_ignores = c.get_string_list(kKey, {}, 0, 1024);
  const EnvSpec& spec = find_env(o.env.id).spec();
  for (const std::string& name : o.actor_ignores) {
    if (std::count(o.actor_ignores.begin(), o.actor_ignores.end(), name) > 1)
      c.fail(kKey, "names '" + name + "' twice");
    if (find_observation_field(spec, name) >= 0) continue;
    std::string known;
    for (const FieldSpec& f : spec.observation) known += (known.empty() ? "" : ", ") + f.name;
    c.fail(kKey, "'" + name + "' is no observation of " + o.env.id + "; it has: " + known);
  }
  if (!o.actor_ignores.empty() && o.policy.trunk != Trunk::kSeparate)
    c.fail(kKey,
           "needs policy.trunk = \"separate\": a shared trunk shows the critic no more than the "
           "actor");
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
  o.tensorboard = c.get_bool("run.tensorboard", true);
  o.env = read_env_options(c, 64);
  o.curriculum = read_curriculum(c, o.env);
  o.policy = read_policy_choices(c);
  read_actor_ignores(c, o);
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
  const bool reals = find_env(o.env.id).spec().real_actions() > 0;
  if (o.policy.distribution != RealDistribution::kGaussian && !reals)
    c.fail("policy.distribution", o.env.id + " has no real actions; leave it out");
  if (o.policy.distribution == RealDistribution::kSquashed && o.log_std_init > kMaxLogStd)
    c.fail("policy.log_std_init", "a squashed Gaussian's is at most 2");
  if (o.policy.distribution == RealDistribution::kBeta && o.log_std_init != 0.0f)
    c.fail("policy.log_std_init", "a Beta has no log standard deviation; leave it out");
  if (const auto problem = conv_problem(find_env(o.env.id).spec().observed, o.policy.conv);
      !problem.empty())
    c.fail("policy.conv_channels", problem + "; choose other convolutions for " + o.env.id);
  o.algorithm =
      c.get_choice("trainer.algorithm", "ppo", {"ppo", "dqn", "sac", "td3", "bc", "distill"});
  const bool off_policy = o.algorithm == "dqn" || o.algorithm == "sac" || o.algorithm == "td3";
  if (off_policy && cuda && world_size > 1) {
    c.fail("env.device", "\"" + o.algorithm +
                             "\" keeps its replay buffer on one GPU; start one process, or use "
                             "\"cpu\"");
  }
  if (off_policy && !o.actor_ignores.empty())
    c.fail("policy.actor_ignores", "is for ppo, bc and distill; leave it out with " + o.algorithm);
  for (const auto& [key, gain] : {std::pair{"policy.hidden_gain", &o.init_gains.hidden},
                                  std::pair{"policy.actor_gain", &o.init_gains.actor},
                                  std::pair{"policy.critic_gain", &o.init_gains.critic}}) {
    const double usual = *gain;
    *gain = c.get_float(key, usual, 0, 1e3);
    if (off_policy && *gain != usual)
      c.fail(key, "is for ppo, bc and distill; leave it out with " + o.algorithm);
  }
  o.total_steps = c.require_int("trainer.total_steps", 1);
  o.reward_scale = static_cast<float>(c.get_float("trainer.reward_scale", 1.0, 1e-9, 1e9));
  if (o.env.num_envs % world_size != 0) {
    const std::string ranks = std::to_string(world_size);
    c.fail("env.num_envs", std::to_string(o.env.num_envs) + " cannot be shared equally by " +
                               ranks + " ranks; set a multiple of " + ranks +
                               ", or start fewer ranks");
  }
  o.max_skipped = static_cast<int>(c.get_int("trainer.max_skipped", o.max_skipped, 0, 1 << 20));
  if (o.algorithm == "ppo" || o.algorithm == "distill") read_ppo_options(c, world_size, o);
  if (o.algorithm == "distill") read_distill_options(c, o);
  if (o.algorithm == "bc") read_bc_options(c, world_size, o);
  if (o.algorithm == "dqn") read_dqn_options(c, o);
  if (o.algorithm == "sac") read_sac_options(c, o);
  if (o.algorithm == "td3") read_td3_options(c, o);
  read_init_options(c, world_size, o);
  o.stop_at_return = c.get_float("stop.mean_return", 0);
  o.stop_window =
      static_cast<int>(c.get_int("stop.window", c.has("stop.mean_return") ? 100 : 0, 0, 1 << 20));
  if (o.stop_window > 0 && !c.has("stop.mean_return"))
    c.fail("stop.window", "needs stop.mean_return");
  if (o.stop_window > 0 && o.algorithm == "bc")
    c.fail("stop.mean_return", "has no effect in behaviour cloning, which ends no episodes");
  o.checkpoint_updates = c.get_int("checkpoint.every_updates", 0, 0);
  o.checkpoint_seconds = c.get_float("checkpoint.every_seconds", 60, 0, 1e9);
  o.checkpoint_keep = static_cast<int>(c.get_int("checkpoint.keep", 3, 2, 1 << 20));
  o.evaluation_episodes = static_cast<int>(c.get_int("evaluation.episodes", 1000, 0, 1 << 24));
  o.evaluation_greedy = c.get_bool("evaluation.greedy", true);
  return o;
}

bool depends_on_length(const TrainOptions& o) {
  if (o.algorithm == "ppo" || o.algorithm == "distill" || o.algorithm == "bc")
    return o.ppo.anneal_learning_rate || o.ppo.anneal_clip ||
           (o.ppo.entropy_coefficient_end >= 0.0f &&
            o.ppo.entropy_coefficient_end != o.ppo.entropy_coefficient);
  if (o.algorithm == "dqn")  // DqnTrainer::beta grows to 1 over the run
    return o.dqn.replay.anneal_learning_rate || o.dqn.priority_alpha > 0;
  return o.algorithm == "sac" ? o.sac.replay.anneal_learning_rate
                              : o.td3.replay.anneal_learning_rate;
}

}  // namespace rollmill
