// Deep Q-learning on a ReplayMachine: a GPU's (trainer/algos/dqn_cuda.cu) or in tests one of host threads.
#pragma once

#include "trainer/algos/device_dqn.h"
#include "trainer/algos/dqn_sequence.cuh"
#include "trainer/replay/replay_machine.cuh"

namespace rollmill {

template <class Launch>
class DqnMachine : public DeviceDqn, public ReplayMachine<Launch> {
  using Base = ReplayMachine<Launch>;
  using Base::batch_, Base::launch_, Base::replay_, Base::in, Base::out, Base::read;

 public:
  // acting: what the policy reads and says, its tile; its parameters are those of the machine. shared_floats: of a block, at most.
  DqnMachine(const DeviceDqnConfig& config, Memory& memory, EnvBatch& batch,
             const DevicePolicy& acting, std::size_t shared_floats, const Launch& launch)
      : Base(config, config.options.replay, memory, batch, launch), policy_(acting) {
    const std::int64_t transposed = set_dqn_task(config.weights->layout, config.options, task_);
    const std::int64_t drawn = config.options.replay.batch_size, n = task_.parameters;
    task_.total_steps = config.total_steps;
    task_.seed = policy_.seed = config.seed;
    task_.unpack = acting.unpack;
    task_.tile_rows =
        this->rows_at_once(shared_floats, [&](int rows) { return dqn_shared_floats(task_, rows); });
    this->allocate([&](auto&& field) {
      for (float** array : {&a_.params, &a_.target, &a_.first, &a_.second, &task_.gradient})
        field(*array, n);
      field(a_.transposed, transposed);
      field(task_.parts, task_.tiles * n);
      field(task_.terms, std::int64_t{task_.tiles} * kDqnTerms);
      field(task_.drawn, drawn);
      field(task_.errors, drawn);
      field(task_.scratch, drawn);
      field(task_.state, 1);
    });
    task_.replay = replay_;
    task_.params = policy_.params = a_.params;
    task_.target = a_.target;
    task_.transposed = a_.transposed;
    policy_.greedy = true;
  }

  EnvBatch& batch() override { return batch_; }
  void reset() override { this->start_episodes(); }

  DqnReport play() override {
    DqnReport report;
    report.finished = this->play_turns();
    const DqnState s = read(task_.state);
    report.sums = {s.terms[0], s.terms[1], s.terms[2], s.norm, s.updates, s.all_skipped};
    report.step = s.step;
    report.longest_skipped = s.longest;
    return report;
  }

  void copy_network_out(float* params) const override { out(params, a_.params, task_.parameters); }

  DqnContent content() const override {
    const DqnState s = read(task_.state);
    const std::int64_t n = task_.parameters;
    return {this->read_floats(a_.target, n),
            {this->read_floats(a_.first, n), this->read_floats(a_.second, n), s.step, s.skipped},
            this->read_replay()};
  }

  void load(const float* params, const DqnContent& c) override {
    in(a_.params, params, task_.parameters);
    in(a_.target, c.target.data(), task_.parameters);
    in(a_.first, c.optimizer.first.data(), task_.parameters);
    in(a_.second, c.optimizer.second.data(), task_.parameters);
    DqnState s{};
    s.step = c.optimizer.step;
    s.skipped = c.optimizer.skipped;
    in(task_.state, &s, 1);
    this->write_replay(c.replay);
  }

 protected:
  const DqnTask& task() const { return task_; }

 private:
  void launch_step() override {
    launch_act(launch_, policy_, task_, this->act_request());
    this->launch_environments();
  }
  void launch_update() override { rollmill::launch_update(launch_, task_, a_); }
  void launch_begin_report() override {
    launch_("begin_report_kernel", begin_report_kernel, 1, 1, 0, task_.state);
  }

  DevicePolicy policy_;
  DqnTask task_{};
  DqnArrays a_{};
};

}  // namespace rollmill
