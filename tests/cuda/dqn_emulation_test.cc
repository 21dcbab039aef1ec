// The text of deep Q-learning's kernels, run on host threads, against the CPU's trainer: after several reports the checkpoints, with
// weights, Adam's moments, target network, environments, replay buffer and priorities, must be the same bytes. clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include "tests/cuda/replay_emulation.h"
#include "trainer/algos/device_dqn_trainer.h"
#include "trainer/algos/dqn.h"
#include "trainer/algos/dqn_machine.cuh"

namespace rollmill {
namespace {

using testing::hash_of, testing::expect_equal_steps, testing::DeviceRun, testing::EmulatedLaunch,
    testing::EmulatedParts;

// CudaDqn (trainer/algos/dqn_cuda.cu) with host memory.
class EmulatedDqn final : private EmulatedParts, public DqnMachine<EmulatedLaunch> {
 public:
  EmulatedDqn(const DeviceDqnConfig& config, std::size_t shared_floats)
      : EmulatedParts(config),
        DqnMachine(config, host_memory(), *EmulatedParts::batch, EmulatedParts::policy,
                   shared_floats, EmulatedLaunch{}) {}
  int rows_at_once() const { return task().tile_rows; }
};

constexpr std::size_t kMuchMemory = 227 * 256, kLittleMemory = 2'500;  // floats of a block

DeviceRun device_run(const TrainOptions& o, std::int64_t log_room = 1 << 20,
                     std::size_t shared_floats = kMuchMemory) {
  return DeviceRun([&](ProcessGroup& group) {
    return std::make_unique<DeviceDqnTrainer>(o, group, 0, [=](DeviceDqnConfig c) {
      c.log_room = log_room;
      auto machine = std::make_unique<EmulatedDqn>(c, shared_floats);
      EXPECT_EQ(machine->rows_at_once() == kLearnRows, shared_floats == kMuchMemory);
      return machine;
    });
  });
}

TrainOptions options(const std::string& env) {
  TrainOptions o;
  o.algorithm = "dqn";
  o.env.id = env;
  o.env.num_envs = 6;
  o.env.time_limit = 13;
  o.policy.hidden = {9, 20};
  o.threads = 1;
  o.reward_scale = 0.5f;
  o.total_steps = 1'000;
  o.dqn.replay.buffer_size = 300;  // comes round several times
  o.dqn.replay.learning_starts = 80;
  o.dqn.replay.train_every = 4;
  o.dqn.replay.updates_per_step = 1;
  o.dqn.replay.report_every = 24;
  o.dqn.replay.batch_size = 70;  // two tiles
  o.dqn.replay.gamma = 0.9f;
  o.dqn.replay.learning_rate = 3e-3;
  o.dqn.target_every = 5;
  o.dqn.exploration_steps = 400;
  o.dqn.exploration_end = 0.3f;
  return o;
}

void expect_equal(const TrainOptions& o, std::int64_t log_room = 1 << 20, int reports = 4,
                  std::size_t shared_floats = kMuchMemory) {
  testing::Run cpu(o);
  DeviceRun device = device_run(o, log_room, shared_floats);
  EXPECT_EQ(hash_of(cpu), hash_of(device));
  expect_equal_steps(cpu, device, reports);
  const DqnTrainer& trainer = dynamic_cast<DqnTrainer&>(*cpu);
  EXPECT_GT(trainer.optimizer().step, o.dqn.target_every);
  EXPECT_NE(trainer.target(), cpu->weights().params);
}

TEST(DqnEmulation, RealObservations) {
  TrainOptions o = options("CartPole-v1");
  expect_equal(o);
  o.dqn.double_q = false;
  o.dqn.huber = 0;
  o.dqn.replay.n_step = 3;
  o.dqn.replay.max_grad_norm = 0.01f;
  o.dqn.replay.anneal_learning_rate = true;
  o.policy.hidden = {24};
  expect_equal(o);
}
TEST(DqnEmulation, DuellingOfBothTrunksAndPriorities) {
  TrainOptions o = options("CartPole-v1");
  o.dqn.duelling = true;
  o.dqn.priority_alpha = 0.6f;
  o.dqn.replay.n_step = 4;
  o.dqn.replay.tau = 0.3f;
  expect_equal(o);
  o.policy.trunk = Trunk::kShared;
  o.policy.activation = Activation::kRelu;
  o.dqn.double_q = false;
  expect_equal(o);
}
TEST(DqnEmulation, MasksAndOneHotObservations) {
  TrainOptions o = options("Taxi-v3");
  o.dqn.replay.n_step = 5;
  expect_equal(o);
  o.dqn.duelling = true;
  o.dqn.priority_alpha = 0.5f;
  o.dqn.double_q = false;
  o.policy.trunk = Trunk::kShared;
  o.policy.hidden = {};
  expect_equal(o);
}
TEST(DqnEmulation, BitsAndManyTurns) {
  TrainOptions o = options("MinAtar/Breakout-v1");
  o.dqn.duelling = true;
  o.dqn.replay.n_step = 2;
  expect_equal(o);
}
// Episodes are fetched within a report, between turns and within one; one environment; several updates a turn.
TEST(DqnEmulation, SmallLogsAndOneEnvironment) {
  TrainOptions o = options("CartPole-v1");
  o.dqn.priority_alpha = 1.0f;
  expect_equal(o, 6 * 10);
  expect_equal(o, 6 * 3);
  o.env.num_envs = 1;
  o.dqn.replay.learning_starts = 1;
  o.dqn.replay.n_step = 7;
  o.dqn.replay.buffer_size = 40;
  o.dqn.replay.batch_size = 5;
  o.dqn.replay.updates_per_step = 3;
  expect_equal(o, 5);
}
// Parts of a tile go through one after the other.
TEST(DqnEmulation, LittleSharedMemory) {
  TrainOptions o = options("CartPole-v1");
  o.dqn.duelling = true;
  o.dqn.priority_alpha = 0.6f;
  expect_equal(o, 1 << 20, 4, kLittleMemory);
}
// A sum of rewards that is infinite: no update is made, and each draws another minibatch.
TEST(DqnEmulation, UpdatesThatAreSkipped) {
  TrainOptions o = options("CartPole-v1");
  o.reward_scale = 3e38f;
  o.dqn.replay.n_step = 3;
  o.dqn.priority_alpha = 0.6f;
  o.max_skipped = 1000;
  testing::Run cpu(o);
  DeviceRun device = device_run(o);
  expect_equal_steps(cpu, device, 2);
  o.max_skipped = 3;
  DeviceRun ends = device_run(o);
  EXPECT_THROW(for (int k = 0; k < 2; ++k) ends->step(), Error);
}
// What one device has begun the other goes on with.
TEST(DqnEmulation, ResumesOnTheOtherDevice) {
  TrainOptions o = options("Taxi-v3");
  o.dqn.priority_alpha = 0.6f;
  o.dqn.replay.n_step = 3;
  testing::Run whole(o);
  DeviceRun device = device_run(o);
  for (int k = 0; k < 3; ++k) {
    whole->step();
    device->step();
  }
  const testing::TempDir of_cpu, of_device;
  save_checkpoint(of_cpu.path(), *whole);
  save_checkpoint(of_device.path(), *device);
  testing::Run on_cpu(o);
  DeviceRun on_device = device_run(o);
  std::string warnings;
  load_newest_checkpoint(of_device.path(), *on_cpu, warnings);
  load_newest_checkpoint(of_cpu.path(), *on_device, warnings);
  EXPECT_EQ(warnings, "");
  EXPECT_EQ(hash_of(whole), hash_of(on_cpu));
  EXPECT_EQ(hash_of(whole), hash_of(on_device));
  expect_equal_steps(on_cpu, on_device, 2);
  expect_equal_steps(whole, device, 2);
  EXPECT_EQ(hash_of(whole), hash_of(on_cpu));
}

}  // namespace
}  // namespace rollmill
