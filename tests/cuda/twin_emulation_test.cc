// The text of SAC's and TD3's kernels, run on host threads, against the CPU's trainers: after several reports the checkpoints, with
// policy, critics, targets, temperature, Adam's moments, environments and replay buffer, must be the same bytes. clang-format off
#include "tests/cuda/emulation.h"  // before the kernels: it defines CUDA's words
// clang-format on

#include <gtest/gtest.h>

#include "tests/cuda/replay_emulation.h"
#include "trainer/algos/device_twin_trainer.h"
#include "trainer/algos/twin_machine.cuh"

namespace rollmill {
namespace {

using testing::hash_of, testing::expect_equal_steps, testing::DeviceRun, testing::EmulatedLaunch,
    testing::EmulatedParts;

// CudaTwin (trainer/algos/twin_cuda.cu) with host memory.
class EmulatedTwin final : private EmulatedParts, public TwinMachine<EmulatedLaunch> {
 public:
  EmulatedTwin(const DeviceTwinConfig& config, std::size_t shared_floats)
      : EmulatedParts(config),
        TwinMachine(config, host_memory(), *EmulatedParts::batch, EmulatedParts::policy,
                    shared_floats, EmulatedLaunch{}) {}
  int rows_at_once() const { return task().tile_rows; }
};

constexpr std::size_t kMuchMemory = 227 * 256, kLittleMemory = 6'000;  // floats of a block

DeviceRun device_run(const TrainOptions& o, std::size_t shared_floats = kMuchMemory) {
  return DeviceRun([&](ProcessGroup& group) {
    return std::make_unique<DeviceTwinTrainer>(o, group, 0, [=](const DeviceTwinConfig& c) {
      auto machine = std::make_unique<EmulatedTwin>(c, shared_floats);
      EXPECT_EQ(machine->rows_at_once() == kLearnRows, shared_floats == kMuchMemory);
      return machine;
    });
  });
}

TrainOptions options(const std::string& algorithm, const std::string& env = "Pendulum-v1") {
  TrainOptions o;
  o.algorithm = algorithm;
  o.env.id = env;
  o.env.num_envs = 5;
  o.env.time_limit = 13;
  o.policy.hidden = {9, 20};
  o.policy.activation = Activation::kRelu;
  o.threads = 1;
  o.reward_scale = 0.5f;
  o.total_steps = 1'000;
  OffPolicyOptions r;
  r.buffer_size = 250;  // comes round several times
  r.learning_starts = 80;
  r.train_every = 4;
  r.updates_per_step = 2;
  r.report_every = 24;
  r.batch_size = 70;  // two tiles
  r.gamma = 0.9f;
  r.learning_rate = 3e-3;
  r.n_step = 3;
  o.sac.replay = o.td3.replay = r;
  o.sac.temperature = 0.2f;
  return o;
}

void expect_equal(const TrainOptions& o, std::size_t shared_floats = kMuchMemory, int reports = 4) {
  testing::Run cpu(o);
  DeviceRun device = device_run(o, shared_floats);
  EXPECT_EQ(hash_of(cpu), hash_of(device));
  const AlignedVector<float> start = cpu->weights().params;
  expect_equal_steps(cpu, device, reports);
  EXPECT_NE(cpu->weights().params, start);
}

TEST(TwinEmulation, Sac) {
  TrainOptions o = options("sac");
  expect_equal(o);
  o.sac.automatic_temperature = false;
  o.sac.replay.max_grad_norm = 0.05f;
  o.sac.replay.anneal_learning_rate = true;
  o.policy.activation = Activation::kTanh;
  o.policy.hidden = {24};
  expect_equal(o);
}
TEST(TwinEmulation, Td3) {
  TrainOptions o = options("td3", "MountainCarContinuous-v0");
  expect_equal(o);
  o.td3.policy_every = 3;
  o.td3.replay.n_step = 1;
  o.td3.replay.tau = 1.0f;
  o.policy.hidden = {40, 24, 16};
  expect_equal(o);
}
// Parts of a tile go through one after the other; networks without hidden layers.
TEST(TwinEmulation, LittleSharedMemory) {
  for (const char* algorithm : {"sac", "td3"}) expect_equal(options(algorithm), kLittleMemory, 3);
  for (const char* algorithm : {"sac", "td3"}) {
    TrainOptions o = options(algorithm);
    o.policy.hidden = {};
    expect_equal(o, kMuchMemory, 3);
  }
}
// A sum of rewards that is infinite: critics are not updated, and each update draws another minibatch.
TEST(TwinEmulation, UpdatesThatAreSkipped) {
  for (const char* algorithm : {"sac", "td3"}) {
    TrainOptions o = options(algorithm);
    o.reward_scale = 3e38f;
    o.max_skipped = 1000;
    testing::Run cpu(o);
    DeviceRun device = device_run(o);
    expect_equal_steps(cpu, device, 2);
    EXPECT_GT(device->step().skipped, 0);
    o.max_skipped = 3;
    DeviceRun ends = device_run(o);
    EXPECT_THROW(for (int k = 0; k < 2; ++k) ends->step(), Error);
  }
}
// What one device has begun the other goes on with.
TEST(TwinEmulation, ResumesOnTheOtherDevice) {
  for (const char* algorithm : {"sac", "td3"}) {
    const TrainOptions o = options(algorithm);
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
    EXPECT_EQ(hash_of(whole), hash_of(on_device));
    expect_equal_steps(on_cpu, on_device, 2);
    expect_equal_steps(whole, device, 2);
    EXPECT_EQ(hash_of(whole), hash_of(on_cpu));
  }
}

}  // namespace
}  // namespace rollmill
