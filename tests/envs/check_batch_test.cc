// device = "check" with two CPU batches: silent while they agree, and exact about where they do
// not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/device/device.h"
#include "envs/batch_cpu.h"
#include "envs/check_batch.h"
#include "envs/classic/cartpole.h"

namespace rollmill {
namespace {

constexpr int kEnvs = 70;  // more than a cache line of columns, not a multiple of one

BatchConfig config(int time_limit = -1) {
  BatchConfig c;
  c.num_envs = kEnvs;
  c.seed = 5;
  c.first_environment = 1000;
  c.time_limit = time_limit;
  return c;
}

// Two batches under check, and the buffers of one step.
struct Bench {
  explicit Bench(const BatchConfig& a = config(), const BatchConfig& b = config()) {
    auto first = std::make_unique<CpuBatch<CartPole>>(a, nullptr);
    auto second = std::make_unique<CpuBatch<CartPole>>(b, nullptr);
    stride = static_cast<std::size_t>(first->stride());
    actual = second.get();
    batch = std::make_unique<CheckBatch>(std::move(first), std::move(second), host_memory());
    actions.resize(stride);
    observations.resize(4 * stride);
    rewards.resize(stride);
    ends.resize(stride);
    final_observations.resize(4 * stride);
    outcomes.resize(stride);
    returns.resize(stride);
    lengths.resize(stride);
  }
  StepBuffers buffers() {
    StepBuffers b;
    b.actions = actions.data();
    b.observations = observations.data();
    b.rewards = rewards.data();
    b.ends = ends.data();
    b.final_observations = final_observations.data();
    b.outcomes = outcomes.data();
    b.episode_returns = returns.data();
    b.episode_lengths = lengths.data();
    return b;
  }
  void step(int t) {
    for (int i = 0; i < kEnvs; ++i) actions[static_cast<std::size_t>(i)] = (t * 7 + i * 3) % 5 < 2;
    batch->step(buffers());
  }

  std::size_t stride;
  EnvBatch* actual;
  std::unique_ptr<CheckBatch> batch;
  std::vector<std::int32_t> actions, lengths;
  std::vector<float> observations, rewards, final_observations, returns;
  std::vector<std::uint8_t> ends, outcomes;
};

std::string numerical_error(const auto& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kNumerical);
    return e.what();
  }
  ADD_FAILURE() << "no difference was found";
  return "";
}

void expect_contains(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

TEST(CheckBatch, EqualBatchesPassThroughManyEpisodes) {
  Bench bench;
  bench.batch->reset(bench.observations.data());
  int ended = 0;
  for (int t = 0; t < 200; ++t) {
    bench.step(t);
    for (int i = 0; i < kEnvs; ++i) ended += bench.ends[static_cast<std::size_t>(i)] != kRunning;
  }
  EXPECT_GT(ended, kEnvs);
  bench.batch->observe(bench.observations.data());
  EXPECT_FALSE(bench.batch->on_device());
}

TEST(CheckBatch, ItIsTheFirstBatchToTheCaller) {
  Bench bench;
  CpuBatch<CartPole> alone(config(), nullptr);
  std::vector<float> observations(4 * bench.stride), rewards(bench.stride);
  std::vector<std::uint8_t> ends(bench.stride);
  alone.reset(observations.data());
  bench.batch->reset(bench.observations.data());
  for (int t = 0; t < 50; ++t) {
    bench.step(t);
    StepBuffers b;
    b.actions = bench.actions.data();
    b.observations = observations.data();
    b.rewards = rewards.data();
    b.ends = ends.data();
    alone.step(b);
    ASSERT_EQ(observations, bench.observations);
    ASSERT_EQ(ends, bench.ends);
  }
  std::vector<std::byte> a(alone.snapshot_bytes()), b(bench.batch->snapshot_bytes());
  alone.save(a.data());
  bench.batch->save(b.data());
  EXPECT_EQ(a, b);
}

TEST(CheckBatch, NamesEnvironmentStepAndField) {
  Bench bench;
  bench.batch->reset(bench.observations.data());
  for (int t = 0; t < 3; ++t) bench.step(t);
  for (int env : {41, 23}) {  // 23 is the first in order, whichever was changed first
    auto words = bench.actual->state_words(env);
    words[2] ^= 1u;  // theta, by one unit in the last place
    bench.actual->set_state_words(env, words);
  }
  const std::string message = numerical_error([&] { bench.step(3); });
  expect_contains(message, {"CartPole-v1", "after step 4", "environment 23 ", "global id 1023",
                            "episode 0", "step 3", "state \"", "first device", "second"});
}

TEST(CheckBatch, FindsADifferentRewardSumAndEpisode) {
  Bench bench;
  bench.batch->reset(bench.observations.data());
  // The snapshot's last column is the running return, the third last the episode number.
  std::vector<std::uint32_t> words(bench.actual->snapshot_bytes() / 4);
  bench.actual->save(reinterpret_cast<std::byte*>(words.data()));
  std::vector<std::uint32_t> changed = words;
  changed[words.size() - bench.stride + 9] = 0x3F800000u;
  bench.actual->load(reinterpret_cast<const std::byte*>(changed.data()));
  expect_contains(numerical_error([&] { bench.step(0); }),
                  {"environment 9 ", "episode return is 1 ", "and 2 "});
}

TEST(CheckBatch, FindsADifferentTimeLimit) {
  Bench bench(config(10), config(11));
  bench.batch->reset(bench.observations.data());
  const std::string message = numerical_error([&] {
    for (int t = 0; t < 20; ++t) bench.step(t);
  });
  expect_contains(message, {"environment "});
}

TEST(CheckBatch, FindsADifferentSeedAtTheReset) {
  BatchConfig other = config();
  other.seed = 6;
  Bench bench(config(), other);
  expect_contains(numerical_error([&] { bench.batch->reset(bench.observations.data()); }),
                  {"after reset", "environment 0 ", "state \"x\""});
}

TEST(CheckBatch, RangesAreCheckedAlone) {
  Bench bench;
  bench.batch->reset(bench.observations.data());
  auto words = bench.actual->state_words(50);
  words[0] ^= 1u;
  bench.actual->set_state_words(50, words);
  bench.batch->step_range(bench.buffers(), 0, 50);
  expect_contains(numerical_error([&] { bench.batch->step_range(bench.buffers(), 50, kEnvs); }),
                  {"environment 50 "});
}

TEST(CheckBatch, ThreadsMayStepRangesOfTheirOwn) {
  Bench bench, serial;
  ThreadPool pool(3);
  bench.batch->reset(bench.observations.data());
  serial.batch->reset(serial.observations.data());
  for (int t = 0; t < 30; ++t) {
    serial.step(t);
    bench.actions = serial.actions;
    pool.run(
        7, [&](int task) { bench.batch->step_range(bench.buffers(), task * 10, task * 10 + 10); });
    ASSERT_EQ(bench.observations, serial.observations);
  }
}

TEST(CheckBatch, NansAreEqualWhateverTheirBits) {
  Bench bench;
  bench.batch->reset(bench.observations.data());
  bench.batch->set_state_words(3, {0x7FC00000u, 0, 0, 0});
  bench.actual->set_state_words(3, {0xFFC00001u, 0, 0, 0});
  bench.step(0);
}

TEST(Device, ParsesWhatIsAllowedAndNothingElse) {
  EXPECT_EQ(parse_device("cpu", "device").kind, DeviceChoice::Kind::kCpu);
  EXPECT_EQ(parse_device("check", "device").kind, DeviceChoice::Kind::kCheck);
  EXPECT_EQ(parse_device("cuda", "device").gpu(3), 3);
  EXPECT_EQ(parse_device("cuda:2", "device").gpu(3), 2);
  EXPECT_EQ(parse_device("cuda:2", "device").text(), "cuda:2");
  for (const char* wrong : {"", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda 1"}) {
    try {
      parse_device(wrong, "config.toml:3: env.device");
      FAIL() << wrong;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      EXPECT_EQ(std::string(e.what()).find("config.toml:3: env.device = \""), 0u) << e.what();
    }
  }
}

TEST(Device, NoCudaIsOneLineThatSaysWhatToDo) {
  setenv("ROLLMILL_MODULE_DIR", "/nonexistent", 1);
  try {
    require_cuda(0);
    FAIL() << "a module from nowhere";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kDevice);
    const std::string message = e.what();
    EXPECT_EQ(message.find('\n'), std::string::npos);
    expect_contains(message, {"CUDA asked for, but", "use device = \"cpu\""});
  }
}

}  // namespace
}  // namespace rollmill
