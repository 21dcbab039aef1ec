#include "trainer/algos/device_dqn_trainer.h"

#include <chrono>
#include <limits>

#include "core/base/assert.h"
#include "core/device/cuda_module.h"
#include "core/device/device.h"
#include "core/dist/process_group.h"
#include "trainer/may_step.h"
#include "trainer/state_arrays.h"

namespace rollmill {

std::unique_ptr<DeviceDqn> make_device_dqn(const DeviceDqnConfig& config) {
  require_cuda(config.device);
  const auto make = reinterpret_cast<decltype(&rollmill_make_device_dqn)>(
      load_cuda_symbol("rollmill_make_device_dqn"));
  return std::unique_ptr<DeviceDqn>(make(&config));
}

DeviceDqnTrainer::DeviceDqnTrainer(const TrainOptions& options, ProcessGroup& group, int device,
                                   const Make& make)
    : run_(options, group), weights_(dqn_shape(run_.spec, options)) {
  RM_ASSERT(group.world_size() == 1);
  DeviceDqnConfig config;
  config.env_id = options.env.id;
  config.batch = run_.batch_config();
  config.device = device;
  config.weights = &weights_;
  config.options = options.dqn;
  config.replay = dqn_replay(options);
  config.total_steps = options.total_steps;
  config.seed = options.seed;
  device_ = make(config);
  initialize_weights(weights_, options.seed, 0.0f);
  DqnContent content;
  content.target = weights_.params;
  content.optimizer.first.resize(weights_.params.size());
  content.optimizer.second.resize(weights_.params.size());
  device_->load(weights_.params.data(), content);
  device_->reset();
}

UpdateReport DeviceDqnTrainer::step() {
  const TrainOptions& o = run_.options;
  UpdateReport report;
  // 1. Experience and learning, all on the device: a turn is one piece, so its time counts as learning.
  const auto start = std::chrono::steady_clock::now();
  const DqnReport done = device_->play();
  device_->copy_network_out(weights_.params.data());
  report.learn_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // 2. Bookkeeping.
  if (done.longest_skipped > o.max_skipped) {
    // As the CPU's trainer says it, if later: after the report.
    OptimizerState state;
    state.step = done.step;
    state.skipped = done.longest_skipped - 1;  // may_step counts one more
    may_step(std::numeric_limits<double>::quiet_NaN(), 0, o.max_skipped, "network", state);
  }
  report.faults = batch().take_faults();
  report.skipped = done.sums.skipped;
  const std::int64_t new_steps = std::int64_t{o.dqn.replay.report_every} * o.env.num_envs;
  report.metrics = dqn_metrics(done.sums, o, run_.progress.env_steps + new_steps, done.step);
  run_.count(done.finished, new_steps, batch(), report);
  return report;
}

std::string DeviceDqnTrainer::observation_not_finite() {
  ReplayBuffer buffer(run_.spec, dqn_replay(run_.options));
  buffer.set_content(device_->content().replay);
  return buffer.first_not_finite(run_.spec);
}

void DeviceDqnTrainer::save(H5Group& root) {
  DqnContent content = device_->content();
  write_optimizer(root, "optimizer", content.optimizer);
  write_array<float>(root, "target", content.target);
  ReplayBuffer buffer(run_.spec, dqn_replay(run_.options));
  buffer.set_content(std::move(content.replay));
  buffer.save(root);
}

std::function<void()> DeviceDqnTrainer::read(const H5Group& root, const std::string& path) {
  const auto content = std::make_shared<DqnContent>();
  const std::size_t n = weights_.params.size();
  content->optimizer = read_optimizer(root, "optimizer", n, path);
  const auto target = read_finite(root, "target", n, path, "the target network");
  content->target.assign(target.begin(), target.end());
  ReplayBuffer buffer(run_.spec, dqn_replay(run_.options));
  buffer.read(root, path)();
  content->replay = buffer.take_content();
  return [this, content] { device_->load(weights_.params.data(), *content); };
}

}  // namespace rollmill
