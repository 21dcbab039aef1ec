// SAC and TD3 on a ReplayMachine: a GPU's (trainer/algos/twin_cuda.cu) or in tests one of host threads.
#pragma once

#include "trainer/algos/device_twin.h"
#include "trainer/algos/twin_sequence.cuh"
#include "trainer/replay/replay_machine.cuh"

namespace rollmill {

template <class Launch>
class TwinMachine : public DeviceTwin, public ReplayMachine<Launch> {
  using Base = ReplayMachine<Launch>;
  using Base::batch_, Base::launch_, Base::replay_, Base::in, Base::out, Base::read;

 public:
  // acting: what the policy reads and says, its tile; its parameters are those of the machine. shared_floats: of a block, at most.
  TwinMachine(const DeviceTwinConfig& config, Memory& memory, EnvBatch& batch,
              const DevicePolicy& acting, std::size_t shared_floats, const Launch& launch)
      : Base(config, config.options(), memory, batch, launch), policy_(acting) {
    const std::int64_t transposed = set_twin_task(config, task_);
    task_.unpack = acting.unpack;
    task_.middle = acting.middle;
    task_.half_range = acting.half_range;
    task_.tile_rows = this->rows_at_once(shared_floats,
                                         [&](int rows) { return twin_shared_floats(task_, rows); });
    const std::int64_t n = task_.actor_size, critics = 2 * task_.critic_size;
    const std::int64_t largest = std::max(n, critics), rows = task_.options.batch_size;
    this->allocate([&](auto&& field) {
      for (float** array : {&a_.actor, &a_.actor_first, &a_.actor_second, &a_.actor_target})
        field(*array, n);
      for (float** array : {&a_.critics, &a_.critic_first, &a_.critic_second, &a_.critic_target})
        field(*array, critics);
      field(a_.transposed, transposed);
      field(task_.gradient, largest);
      field(task_.parts, task_.tiles * largest);
      field(task_.terms, std::int64_t{task_.tiles} * kTwinTerms);
      field(task_.drawn, rows);
      field(task_.scratch, rows);
      field(task_.state, 1);
    });
    task_.replay = replay_;
    task_.actor_params = policy_.params = a_.actor;
    task_.actor_target = a_.actor_target;
    task_.critic_params = a_.critics;
    task_.critic_target = a_.critic_target;
    task_.transposed = a_.transposed;
    policy_.greedy = !task_.soft;
    policy_.seed = config.seed;
  }

  EnvBatch& batch() override { return batch_; }
  void reset() override { this->start_episodes(); }

  TwinReport play() override {
    TwinReport report;
    report.finished = this->play_turns();
    const TwinState s = read(task_.state);
    TwinSums& sums = report.sums;
    sums.critic_loss = s.critic_loss;
    sums.value = s.value;
    (task_.soft ? sums.actor_loss : sums.policy_value) = s.actor_loss;
    sums.entropy = s.logp;
    sums.updates = s.updates;
    sums.policy_updates = s.policy_updates;
    sums.skipped = s.all_skipped;
    report.log_temperature = s.log_temperature;
    for (int k = 0; k < kTwinParts; ++k) {
      report.step[k] = s.step[k];
      report.longest_skipped[k] = s.longest[k];
    }
    return report;
  }

  void copy_policy_out(float* params) const override { out(params, a_.actor, task_.actor_size); }

  TwinContent content() const override {
    const TwinState s = read(task_.state);
    const std::int64_t n = task_.actor_size, critics = 2 * task_.critic_size;
    const auto floats = [&](const float* from, std::int64_t count) {
      return this->read_floats(from, count);
    };
    return {
        {floats(a_.actor_first, n), floats(a_.actor_second, n), s.step[kActor], s.skipped[kActor]},
        {floats(a_.critic_first, critics), floats(a_.critic_second, critics), s.step[kCritics],
         s.skipped[kCritics]},
        {{s.temperature_first},
         {s.temperature_second},
         s.step[kTemperature],
         s.skipped[kTemperature]},
        floats(a_.actor_target, n),
        floats(a_.critics, critics),
        floats(a_.critic_target, critics),
        {s.log_temperature},
        this->read_replay()};
  }

  void load(const float* params, const TwinContent& c) override {
    const std::int64_t n = task_.actor_size, critics = 2 * task_.critic_size;
    in(a_.actor, params, n);
    in(a_.actor_first, c.actor.first.data(), n);
    in(a_.actor_second, c.actor.second.data(), n);
    if (!task_.soft) in(a_.actor_target, c.actor_target.data(), n);
    in(a_.critics, c.critics.data(), critics);
    in(a_.critic_target, c.critic_targets.data(), critics);
    in(a_.critic_first, c.critic.first.data(), critics);
    in(a_.critic_second, c.critic.second.data(), critics);
    TwinState s{};
    s.step[kActor] = c.actor.step;
    s.skipped[kActor] = c.actor.skipped;
    s.step[kCritics] = c.critic.step;
    s.skipped[kCritics] = c.critic.skipped;
    s.step[kTemperature] = c.temperature.step;
    s.skipped[kTemperature] = c.temperature.skipped;
    if (task_.soft) {
      s.log_temperature = c.log_temperature[0];
      s.temperature_first = c.temperature.first[0];
      s.temperature_second = c.temperature.second[0];
    }
    in(task_.state, &s, 1);
    this->write_replay(c.replay);
  }

 protected:
  const TwinTask& task() const { return task_; }

 private:
  void launch_step() override {
    launch_("twin_act_kernel", twin_act_kernel,
            (batch_.num_envs() + policy_.tile_rows - 1) / policy_.tile_rows, kActThreads,
            static_cast<std::size_t>(tile_floats(policy_)), policy_, this->act_request(), replay_,
            task_.options.learning_starts, task_.exploration_noise);
    this->launch_environments();
  }
  void launch_update() override { rollmill::launch_update(launch_, task_, a_); }
  void launch_begin_report() override {
    launch_("begin_twin_report_kernel", begin_twin_report_kernel, 1, 1, 0, task_.state);
  }

  DevicePolicy policy_;
  TwinTask task_{};
  TwinArrays a_{};
};

}  // namespace rollmill
