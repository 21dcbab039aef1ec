#include "trainer/algos/device_twin_trainer.h"

#include <chrono>
#include <limits>
#include <memory>

#include "core/base/assert.h"
#include "core/device/cuda_module.h"
#include "core/device/device.h"
#include "core/dist/process_group.h"
#include "core/math/math.h"
#include "trainer/may_step.h"
#include "trainer/state_arrays.h"

namespace rollmill {

std::unique_ptr<DeviceTwin> make_device_twin(const DeviceTwinConfig& config) {
  require_cuda(config.device);
  const auto make = reinterpret_cast<decltype(&rollmill_make_device_twin)>(
      load_cuda_symbol("rollmill_make_device_twin"));
  return std::unique_ptr<DeviceTwin>(make(&config));
}

DeviceTwinTrainer::DeviceTwinTrainer(const TrainOptions& options, ProcessGroup& group, int device,
                                     const Make& make)
    : run_(options, group),
      soft_(options.algorithm == "sac"),
      weights_(twin_actor_shape(run_.spec, options)),
      critic_(weights_.layout.shape, options.seed) {
  RM_ASSERT(group.world_size() == 1);
  DeviceTwinConfig config;
  config.env_id = options.env.id;
  config.batch = run_.batch_config();
  config.device = device;
  config.weights = &weights_;
  config.critic = &critic_.layout();
  config.soft = soft_;
  config.sac = options.sac;
  config.td3 = options.td3;
  config.replay = replay_config(options, replay_options());
  config.total_steps = options.total_steps;
  config.seed = options.seed;
  device_ = make(config);
  initialize_weights(weights_, options.seed, soft_ ? options.log_std_init : 0.0f);
  const auto moments = [](std::size_t n) {
    OptimizerState state;
    state.first.resize(n);
    state.second.resize(n);
    return state;
  };
  TwinContent content;
  content.actor = moments(weights_.params.size());
  content.critic = moments(critic_.params().size());
  content.temperature = moments(1);
  content.actor_target = weights_.params;
  content.critics = content.critic_targets = critic_.params();
  content.log_temperature = {math::log(options.sac.temperature)};
  device_->load(weights_.params.data(), content);
  device_->reset();
}

UpdateReport DeviceTwinTrainer::step() {
  const TrainOptions& o = run_.options;
  UpdateReport report;
  // 1. Experience and learning, all on the device: a turn is one piece, so its time counts as learning.
  const auto start = std::chrono::steady_clock::now();
  const TwinReport done = device_->play();
  device_->copy_policy_out(weights_.params.data());
  report.learn_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // 2. Bookkeeping.
  const char* const names[] = {"critics", "actor", "temperature"};
  for (int k = 0; k < 3; ++k) {
    if (done.longest_skipped[k] <= o.max_skipped) continue;
    // As the CPU's trainer says it, if later: after the report.
    OptimizerState state;
    state.step = done.step[k];
    state.skipped = done.longest_skipped[k] - 1;  // may_step counts one more
    may_step(std::numeric_limits<double>::quiet_NaN(), 0, o.max_skipped, names[k], state);
  }
  report.faults = batch().take_faults();
  report.skipped = done.sums.skipped;
  const std::int64_t new_steps = std::int64_t{replay_options().report_every} * o.env.num_envs;
  const double rate =
      learning_rate_at(replay_options(), run_.progress.env_steps + new_steps, o.total_steps);
  report.metrics = soft_
                       ? sac_metrics(done.sums, math::exp(done.log_temperature), rate, done.step[1])
                       : td3_metrics(done.sums, rate, done.step[0]);
  run_.count(done.finished, new_steps, batch(), report);
  return report;
}

std::string DeviceTwinTrainer::observation_not_finite() {
  ReplayBuffer buffer = empty_buffer();
  buffer.set_content(device_->content().replay);
  return buffer.first_not_finite(run_.spec);
}

void DeviceTwinTrainer::save(H5Group& root) {
  TwinContent c = device_->content();
  write_optimizer(root, "optimizer", c.actor);
  if (!soft_) write_array<float>(root, "target", c.actor_target);
  write_array<float>(root, "critics", c.critics);
  write_array<float>(root, "critic_targets", c.critic_targets);
  write_optimizer(root, "critic_optimizer", c.critic);
  if (soft_) {
    write_array<float>(root, "log_temperature", c.log_temperature);
    write_optimizer(root, "temperature_optimizer", c.temperature);
  }
  ReplayBuffer buffer = empty_buffer();
  buffer.set_content(std::move(c.replay));
  buffer.save(root);
}

std::function<void()> DeviceTwinTrainer::read(const H5Group& root, const std::string& path) {
  const auto c = std::make_shared<TwinContent>();
  const std::size_t n = weights_.params.size(), critics = critic_.params().size();
  const auto finite = [&](const char* name, std::size_t size, const char* what) {
    const std::vector<float> values = read_finite(root, name, size, path, what);
    return AlignedVector<float>(values.begin(), values.end());
  };
  c->actor = read_optimizer(root, "optimizer", n, path);
  c->critics = finite("critics", critics, "a critic");
  c->critic_targets = finite("critic_targets", critics, "a critic's target");
  c->critic = read_optimizer(root, "critic_optimizer", critics, path);
  if (soft_) {
    c->log_temperature = finite("log_temperature", 1, "the temperature");
    c->temperature = read_optimizer(root, "temperature_optimizer", 1, path);
  } else {
    c->actor_target = finite("target", n, "the target policy");
  }
  ReplayBuffer buffer = empty_buffer();
  buffer.read(root, path)();
  c->replay = buffer.take_content();
  return [this, c] { device_->load(weights_.params.data(), *c); };
}

}  // namespace rollmill
