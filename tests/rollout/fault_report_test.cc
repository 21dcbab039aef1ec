// An environment whose numbers stop being finite: it ends alone, is counted and described, and its report does the same
// again.
#include "rollout/fault_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "envs/batch_cpu.h"
#include "envs/contract/runner.h"
#include "tests/core/io/temp_dir.h"
#include "tests/support/fragile_env.h"

namespace rollmill {
namespace {

using contract::Runner;
using testing::Fragile;

const EnvEntry kFragile = {
    "Fragile-v0", describe<Fragile>, [](const BatchConfig& config, ThreadPool* pool) {
      return std::unique_ptr<EnvBatch>(std::make_unique<CpuBatch<Fragile>>(config, pool));
    }};

BatchConfig config(int num_envs, int trace_steps) {
  BatchConfig c;
  c.num_envs = num_envs;
  c.seed = 11;
  c.trace_steps = trace_steps;
  return c;
}

TEST(Faults, EndTheirEnvironmentOnly) {
  Runner runner(kFragile, config(200, 0));
  std::int64_t broken = 0;
  for (int t = 0; t < 60; ++t) {
    runner.step();
    for (std::size_t i = 0; i < 200; ++i) {
      ASSERT_TRUE(std::isfinite(runner.rewards[i]));
      ASSERT_TRUE(std::isfinite(math::from_bits(runner.observation(0, static_cast<int>(i)))));
      if (runner.ends[i] == kRunning) continue;
      ASSERT_EQ(runner.ends[i], kTerminated);
      ASSERT_EQ(runner.outcomes[i], kOutcomeNotFinite);
      ASSERT_EQ(runner.returns[i], static_cast<float>(runner.lengths[i] - 1));  // no reward for it
      ASSERT_EQ(runner.final_observation(0, static_cast<int>(i)), 0u);
      ++broken;
    }
  }
  EXPECT_GT(broken, 200);
  const EnvBatch::Faults faults = runner.batch().take_faults();
  EXPECT_EQ(faults.count, broken);
  EXPECT_EQ(faults.described.size(), static_cast<std::size_t>(EnvBatch::kMaxFaults));
  EXPECT_EQ(runner.batch().take_faults().count, 0);
}

TEST(Faults, DescribeTheSameOnesOnAnyNumberOfThreads) {
  const auto described = [](ThreadPool* pool) {
    Runner runner(kFragile, config(3000, 4), pool);
    for (int t = 0; t < 20; ++t) runner.step();
    std::vector<std::uint32_t> words;
    for (const Fault& f : runner.batch().take_faults().described) {
      words.insert(words.end(), {f.environment, f.episode, f.step});
      for (const auto& s : f.states) words.insert(words.end(), s.begin(), s.end());
    }
    return words;
  };
  const auto expected = described(nullptr);
  ThreadPool pool(3);
  EXPECT_EQ(described(&pool), expected);
}

TEST(Faults, KeepTheLastStatesAndActionsAndReplay) {
  constexpr int kKept = 5;
  Runner runner(kFragile, config(50, kKept));
  for (int t = 0; t < 40; ++t) runner.step();
  const EnvBatch::Faults faults = runner.batch().take_faults();
  ASSERT_GT(faults.described.size(), 3u);
  for (const Fault& fault : faults.described) {
    EXPECT_EQ(fault.states.size(), std::min<std::size_t>(kKept, fault.step + 1));
    const FaultReplay replay = replay_fault(kFragile, {"Fragile-v0", 11, fault});
    EXPECT_TRUE(replay.reproduced);
    EXPECT_EQ(replay.steps.back().step, fault.step);
    FaultFile other{"Fragile-v0", 12, fault};  // the dynamics draw from the seed
    other.fault.actions.assign(fault.actions.size(), {0});
    EXPECT_FALSE(replay_fault(kFragile, other).reproduced);
  }
}

// What the trace kept before a restore is another past: it is not reported.
TEST(Faults, ARestoredEnvironmentReportsOnlyWhatItDidSince) {
  Runner runner(kFragile, config(20, 8));
  runner.step();
  runner.step();
  const auto saved = runner.snapshot();
  Runner fresh(kFragile, config(20, 8));
  fresh.batch().load(saved.data());
  for (int t = 0; t < 40; ++t) fresh.step();
  int first_episodes = 0;
  for (const Fault& fault : fresh.batch().take_faults().described) {
    if (fault.episode == 0) {
      ++first_episodes;
      EXPECT_EQ(fault.states.size(), std::min<std::size_t>(8, fault.step - 1));
    }
    EXPECT_TRUE(replay_fault(kFragile, {"Fragile-v0", 11, fault}).reproduced);
  }
  EXPECT_GT(first_episodes, 3);
}

TEST(Faults, ReportsAreWrittenAndDamagedOnesRefused) {
  const testing::TempDir folder;
  const std::string dir = folder.path() + "/faults";
  Fault fault;
  fault.environment = 7;
  fault.states = {{1, 2, 3, 4}};
  fault.actions = {{1}};
  fault.broken = {0x7f800000u, 2, 3, 4};
  const EnvSpec spec = find_env("CartPole-v1").spec();
  for (const ParamSpec& p : spec.params) fault.params.push_back(p.default_value);
  const auto paths = write_faults(dir, spec, 3, {1, {fault}});
  ASSERT_EQ(paths.size(), 1u);
  const FaultFile read = read_fault(paths[0]);
  EXPECT_EQ(read.fault.states, fault.states);
  EXPECT_EQ(read.fault.broken, fault.broken);
  EXPECT_EQ(read.seed, 3u);
  const std::string text = read_file(paths[0], 1 << 20);
  int refused = 0;
  for (const auto& [from, to] : {std::pair{"rollmill-fault-1", "rollmill-fault-9"},
                                 {"CartPole-v1", "CartPole-v9"},
                                 {"\"seed\": 3", "\"seed\": -3"},
                                 {"\"states\"", "\"status\""},
                                 {"\"params\": [", "\"params\": [1,"}}) {
    std::string damaged = text;
    const std::size_t at = damaged.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    damaged.replace(at, std::string(from).size(), to);
    write_file_atomic(dir + "/damaged.json", damaged);
    try {
      read_fault(dir + "/damaged.json");
      ADD_FAILURE() << "accepted: " << to;
    } catch (const Error& e) {
      refused += e.code() == ExitCode::kBadData;
    }
  }
  EXPECT_EQ(refused, 5);
}

// An environment that breaks again and again leaves its first reports, and says once that there are no more.
TEST(Faults, AFolderHoldsTheFirstReportsOnly) {
  const testing::TempDir folder;
  const std::string dir = folder.path() + "/faults";
  const EnvSpec spec = find_env("CartPole-v1").spec();
  FaultReports reports(dir);
  int told = 0;
  for (std::uint32_t update = 0; update < 10; ++update) {
    EnvBatch::Faults faults;
    for (std::uint32_t i = 0; i < 16; ++i) {
      Fault fault;
      fault.environment = i;
      fault.episode = update;
      fault.broken = {0x7f800000u, 2, 3, 4};
      faults.described.push_back(fault);
    }
    faults.count = 16;
    const std::string said = reports.write(spec, 3, faults);
    EXPECT_EQ(said.find("fault-0-") != said.npos, update < 4) << said;
    told += said.find("no more are written") != said.npos;
  }
  EXPECT_EQ(told, 1);
  const auto files = std::filesystem::directory_iterator(dir);
  EXPECT_EQ(std::distance(begin(files), end(files)), kMostFaultFiles);
  Fault again;  // as after a resume
  again.environment = 3;
  again.episode = 2;
  EXPECT_EQ(write_faults(dir, spec, 3, {1, {again}}).size(), 1u);
}

}  // namespace
}  // namespace rollmill
