// Imitation: what a dataset becomes, that nothing of it is lost or doubled, and that policies learn what they are shown.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "datasets/reader.h"
#include "generators/dataset_job.h"
#include "generators/policies.h"
#include "rollout/mlp/policy_file.h"
#include "tests/core/io/temp_dir.h"
#include "tests/trainer/on_ranks.h"
#include "tests/trainer/resume.h"
#include "tests/trainer/small_ppo.h"
#include "trainer/imitation/demonstrations.h"
#include "trainer/imitation/initial_policy.h"
#include "trainer/imitation/sources.h"
#include "trainer/imitation/teacher.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;
using testing::exit_code_of;
using testing::TempDir;

// A dataset of `policy` in `env`, in two shards or more.
void write_dataset(const std::string& dir, const char* env, const char* policy, int episodes) {
  GenerateOptions o;
  o.env.id = env;
  o.policy = policy;
  o.episodes = episodes;
  o.shard_transitions = 600;
  ThreadPool pool(1);
  const auto group = make_process_group(LaunchInfo{}, false);
  const LoadedPolicy loaded = load_named_policy(policy, find_env(env), 3, false);
  run_dataset_job(
      o, *loaded.policy, dir, false, "", *group, pool, [](const auto&) {}, [] { return false; });
}

// All steps of a dataset in order, the plain way.
struct Flat {
  explicit Flat(const std::string& dir) {
    const DatasetReader reader(dir);
    for (std::size_t k = 0; k < reader.shards(); ++k) {
      const ShardData s = reader.load(k);
      for (std::size_t e = 0; e < s.episodes(); ++e) {
        const auto start = s.values<std::int64_t>("episodes/start")[e];
        const auto length = s.values<std::int32_t>("episodes/length")[e];
        for (std::int32_t j = 0; j < length; ++j) {
          const auto row = static_cast<std::size_t>(start + j);
          const float* o = s.values<float>("observations").data() + row * 4;
          rows.push_back({{o[0], o[1], o[2], o[3]},
                          static_cast<int>(s.values<std::int8_t>("actions")[row]),
                          j,
                          length,
                          s.values<std::uint8_t>("terminals")[row] != 0});
        }
      }
    }
  }
  struct Row {
    std::array<float, 4> observation;
    int action, step, length;
    bool terminal;
  };
  std::vector<Row> rows;
};

PolicyShape shape_of(const char* env, MemoryKind memory = MemoryKind::kNone, int frames = 1) {
  PolicyChoices choices;
  choices.frame_stack = frames;
  choices.memory = memory;
  choices.memory_size = memory == MemoryKind::kNone ? 0 : 4;
  return shape_for(find_env(env).spec(), choices);
}

// Each step of the dataset is in a pass once, as it is in the file; streams wrap around at the end of the pass.
TEST(Demonstrations, APassHasEveryStepOnce) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "CartPole-v1", "random", 90);
  const Flat flat(dir.path() + "/d");
  const EnvSpec spec = find_env("CartPole-v1").spec();
  std::map<std::array<float, 4>, std::size_t> where;
  for (std::size_t r = 0; r < flat.rows.size(); ++r) where[flat.rows[r].observation] = r;
  ASSERT_EQ(where.size(), flat.rows.size());
  for (const MemoryKind memory : {MemoryKind::kNone, MemoryKind::kGru}) {
    constexpr int kHorizon = 24, kFrames = 3;
    const PolicyShape shape = shape_of("CartPole-v1", memory, kFrames);
    Demonstrations d(dir.path() + "/d", spec, shape, 0.5f, 2.0f);
    EXPECT_EQ(d.steps(), static_cast<std::int64_t>(flat.rows.size()));
    EXPECT_EQ(d.episodes(), 90);
    d.begin_pass(7, 1, kHorizon);
    const auto streams = static_cast<int>(d.streams());
    const HostRollout rollout(spec, kHorizon, streams, kFrames,
                              {shape.memory_columns(), kHorizon, 0});
    const RolloutBuffer& b = rollout.buffer();
    d.fill(b, 0, 0, streams);
    std::set<std::size_t> seen;
    double weights = 0;
    for (int i = 0; i < streams; ++i) {
      for (int t = 0; t < kHorizon; ++t) {
        const std::int64_t at = t * b.stride + i;
        weights += static_cast<double>(b.advantages[at]);
        if (b.advantages[at] == 0.0f) continue;
        const auto observation = [&](int slot) {
          std::array<float, 4> o;
          for (int k = 0; k < 4; ++k)
            o[static_cast<std::size_t>(k)] = b.observation_slot(slot)[k * b.stride + i];
          return o;
        };
        const auto found = where.find(observation(t));
        ASSERT_NE(found, where.end());
        const std::size_t r = found->second;
        const Flat::Row& row = flat.rows[r];
        EXPECT_TRUE(seen.insert(r).second);
        EXPECT_EQ(b.discrete_slot(t)[i], row.action);
        const bool last = row.step + 1 == row.length;
        EXPECT_EQ(b.ends[at], !last ? kRunning : row.terminal ? kTerminated : kTruncated);
        // Rewards are 1: sum of 2 x 0.5^k over what is left of the episode.
        EXPECT_NEAR(b.returns[at], 4 * (1 - std::pow(0.5, row.length - row.step)), 1e-5);
        const int frames = b.frame_slot(t)[i];
        EXPECT_EQ(frames, std::min(row.step, kFrames - 1));
        for (int back = 1; back <= frames; ++back)
          EXPECT_EQ(observation(t - back),
                    flat.rows[r - static_cast<std::size_t>(back)].observation);
        // A policy with memory sees an episode from its beginning wherever it fits into a stream.
        if (memory != MemoryKind::kNone && t == 0 && row.length <= kHorizon) {
          EXPECT_EQ(row.step, 0);
        }
      }
    }
    EXPECT_EQ(seen.size(), flat.rows.size());
    EXPECT_NEAR(weights / (kHorizon * streams), 1.0, 1e-5);
    // The window after the last stream is the first again.
    const std::vector<float> first(b.observation_slot(0), b.observation_slot(1));
    d.fill(b, streams, streams, streams);
    EXPECT_EQ(std::vector<float>(b.observation_slot(0), b.observation_slot(1)), first);
    d.begin_pass(7, 2, kHorizon);
    d.fill(b, 0, 0, std::min(streams, static_cast<int>(d.streams())));
    EXPECT_NE(std::vector<float>(b.observation_slot(0), b.observation_slot(1)), first);
  }
}

TEST(Demonstrations, RefusesWhatIsNotThisEnvironments) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "CartPole-v1", "random", 3);
  const auto open = [&](const char* env, const std::string& name) {
    return [=, path = dir.path() + name] {
      Demonstrations(path, find_env(env).spec(), shape_of(env), 0.9f, 1.0f);
    };
  };
  std::string message;
  EXPECT_EQ(exit_code_of(open("Acrobot-v1", "/d"), &message), 3);
  EXPECT_NE(message.find("CartPole-v1"), std::string::npos) << message;
  EXPECT_EQ(exit_code_of(open("CartPole-v1", "/none"), &message), 3);
}

TEST(RawAction, IsTheInverseOfBounding) {
  for (const float action : {-1.9f, 0.0f, 1.25f}) {
    EXPECT_FLOAT_EQ(raw_action(RealDistribution::kGaussian, action, 0.5f, 3.0f),
                    (action - 0.5f) / 3);
    EXPECT_NEAR(std::tanh(raw_action(RealDistribution::kSquashed, action, 0.0f, 2.0f)), action / 2,
                1e-6);
  }
  EXPECT_TRUE(std::isfinite(raw_action(RealDistribution::kSquashed, 2.0f, 0.0f, 2.0f)));
}

TrainOptions cloning(const std::string& dataset, const char* env) {
  TrainOptions o;
  o.algorithm = "bc";
  o.env.id = env;
  o.env.num_envs = 4;
  o.threads = 1;
  o.total_steps = 1'000'000;
  o.policy.hidden = {24, 20};
  o.ppo.objective = Objective::kImitateWeighted;
  o.ppo.epochs = 1;
  o.ppo.normalize_advantages = false;
  o.ppo.horizon = 16;
  o.ppo.minibatches = 4;
  o.ppo.learning_rate = 3e-3;
  o.bc = {dataset, 32};
  return o;
}

TEST(Bc, ResumesAndRepeatsBitForBit) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "Rollmill/MemoryCorridor-v0", "expert", 120);
  write_dataset(dir.path() + "/p", "Pendulum-v1", "random", 10);
  TrainOptions corridor = cloning(dir.path() + "/d", "Rollmill/MemoryCorridor-v0");
  corridor.policy.hidden = {24};
  corridor.policy.memory = MemoryKind::kGru;
  corridor.policy.memory_size = 12;
  testing::expect_resume_equals_no_interruption(corridor, 3, 40);  // over the end of a pass
  EXPECT_EQ(testing::weights_hash(corridor, 5), "a66305b678811be566147e08afdb99a7");
  TrainOptions pendulum = cloning(dir.path() + "/p", "Pendulum-v1");
  pendulum.normalize_observations = true;
  testing::expect_resume_equals_no_interruption(pendulum);
  testing::expect_same_on_two_threads(pendulum);
  EXPECT_EQ(testing::weights_hash(pendulum, 5), "70f8df79d92b554c0e7773c5524774e0");
}

// trainer.reduction = "exact": whoever holds a group's streams, its gradients are the same. Of a policy with memory, too.
TEST(Bc, ExactReductionHasTheSameBitsOnAnyNumberOfRanks) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "Rollmill/MemoryCorridor-v0", "expert", 120);
  for (const MemoryKind memory : {MemoryKind::kNone, MemoryKind::kMinGru}) {
    TrainOptions o = cloning(dir.path() + "/d", "Rollmill/MemoryCorridor-v0");
    o.policy.memory = memory;
    o.policy.memory_size = memory == MemoryKind::kNone ? 0 : 12;
    o.bc.streams = 32;
    const auto weights = [&](int ranks, int groups) {
      TrainOptions now = o;
      now.groups = groups;
      std::vector<std::string> hashes(static_cast<std::size_t>(ranks));
      testing::on_ranks(ranks, [&](ProcessGroup& group) {
        const auto trainer = make_trainer(now, group);
        for (int k = 0; k < 6; ++k) trainer->step();
        Xxh3_128 hash;
        hash.update(std::as_bytes(std::span(trainer->weights().params)));
        hashes[static_cast<std::size_t>(group.rank())] = hash.hex();
      });
      for (const std::string& hash : hashes) EXPECT_EQ(hash, hashes.front());
      return hashes.front();
    };
    const std::string one = weights(1, 4);
    EXPECT_EQ(weights(2, 4), one);
    EXPECT_EQ(weights(4, 4), one);
    EXPECT_NE(weights(2, 0), one);
  }
}

// A pass of whole windows counts each step of the dataset once, however much padding streams of whole episodes have.
TEST(Bc, CountsTheStepsItLearnsFrom) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "Rollmill/MemoryCorridor-v0", "expert", 120);
  TrainOptions o = cloning(dir.path() + "/d", "Rollmill/MemoryCorridor-v0");
  o.policy.memory = MemoryKind::kGru;
  o.policy.memory_size = 12;
  const EnvSpec spec = find_env(o.env.id).spec();
  Demonstrations d(o.bc.dataset, spec, shape_for(spec, o.policy), 0.9f, 1.0f);
  d.begin_pass(o.seed, 0, o.ppo.horizon);
  o.bc.streams = static_cast<int>(d.streams()) / o.ppo.minibatches * o.ppo.minibatches;
  ASSERT_GT(d.streams() * o.ppo.horizon, d.steps());  // there is padding
  testing::Run run(o);
  EXPECT_EQ(run->step().new_steps, d.steps_in(0, o.bc.streams));
  EXPECT_EQ(d.steps_in(0, d.streams()), d.steps());
  EXPECT_EQ(run->progress().env_steps, d.steps_in(0, o.bc.streams));
}

// Padding has no weight whatever the distribution: a Beta's density is 0, and its logarithm infinite, at the ends of its range.
TEST(Bc, PaddingIsHarmlessForEveryDistribution) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "MountainCarContinuous-v0", "expert", 12);
  for (const auto distribution :
       {RealDistribution::kGaussian, RealDistribution::kSquashed, RealDistribution::kBeta}) {
    TrainOptions o = cloning(dir.path() + "/d", "MountainCarContinuous-v0");
    o.policy.distribution = distribution;
    o.bc = {dir.path() + "/d", 64};
    testing::Run run(o);
    for (int update = 0; update < 20; ++update) {
      for (const auto& m : run->step().metrics) {
        const std::string name = m.name;
        EXPECT_FALSE(name == "skipped" && m.value != 0) << distribution_name(distribution);
        EXPECT_FALSE(name == "policy_loss" && !std::isfinite(m.value));
      }
    }
  }
}

// The expert's action is a function of what a recurrent policy can know: cross entropy goes to nothing.
TEST(Bc, LearnsTheMemoryCorridorsExpert) {
  const TempDir dir;
  write_dataset(dir.path() + "/d", "Rollmill/MemoryCorridor-v0", "expert", 2000);
  TrainOptions o = cloning(dir.path() + "/d", "Rollmill/MemoryCorridor-v0");
  o.policy.memory = MemoryKind::kGru;
  o.policy.memory_size = 32;
  o.policy.hidden = {32};
  o.policy.activation = Activation::kRelu;
  o.policy.trunk = Trunk::kShared;
  o.ppo.horizon = 32;
  testing::Run run(o);
  UpdateReport report;
  for (int k = 0; k < 900; ++k) report = run->step();
  EXPECT_LT(report.metric("policy_loss"), 0.02);
}

// [init] dataset: a stop between two updates leaves nothing to go on from; steps that are all skipped are no start.
TEST(ImitateFirst, StopsWhenAskedAndSaysThatNothingWasLearnt) {
  const TempDir dir;
  write_dataset(dir / "d", "CartPole-v1", "expert", 8);
  TrainOptions o = testing::small_ppo("CartPole-v1");
  o.init.dataset = dir / "d";
  o.init.epochs = 1000;
  testing::Run run(o);
  int asked = 0;
  run->run().stop = [&] { return ++asked == 5; };
  EXPECT_TRUE(run->step().stopped);
  EXPECT_EQ(asked, 5);
  EXPECT_EQ(run->progress().update, 0);
  o.init.epochs = 1;
  o.ppo.max_skipped = 1000;
  o.reward_scale = 1e30f;  // returns whose squares are infinite
  std::string message;
  testing::Run hopeless(o);
  EXPECT_EQ(testing::exit_code_of([&] { hopeless->step(); }, &message), 6);
  EXPECT_NE(message.find("init.dataset"), message.npos) << message;
  EXPECT_NE(message.find("nothing was learnt"), message.npos) << message;
}

TEST(InitialPolicy, IsTheOtherRunsAndMustFit) {
  const TempDir dir;
  PolicyWeights teacher(shape_of("CartPole-v1"));
  initialize_weights(teacher, 12, 0.0f);
  save_policy(dir.path() + "/policy.safetensors", "CartPole-v1", "{}", teacher);
  PolicyWeights same(shape_of("CartPole-v1"));
  start_from("init.policy", dir.path() + "/policy.safetensors", same);
  EXPECT_EQ(same.params, teacher.params);
  PolicyWeights other(shape_of("CartPole-v1", MemoryKind::kNone, 2));
  std::string message;
  const auto start = [&] { start_from("init.policy", dir.path() + "/policy.safetensors", other); };
  EXPECT_EQ(exit_code_of(start, &message), 2);
  EXPECT_NE(message.find("init.policy"), std::string::npos) << message;
}

// What --check says of all that a run would learn from: once nothing is there, once others' is, once the right one.
TEST(Sources, AreLookedAtBeforeARun) {
  const TempDir dir;
  TrainOptions o;
  o.env.id = "CartPole-v1";
  o.policy.hidden = {32};
  o.bc.dataset = o.init.dataset = dir.path() + "/d";
  o.init.policy = o.distill.teacher = dir.path() + "/policy.safetensors";
  EXPECT_EQ(unready_sources(o).size(), 4u);
  const auto make = [&](const char* env) {
    fs::remove_all(o.bc.dataset);
    write_dataset(o.bc.dataset, env, "random", 3);
    save_policy(o.init.policy, env, "{}", PolicyWeights(shape_for(find_env(env).spec(), o.policy)));
  };
  make("Acrobot-v1");
  std::vector<std::string> lines = unready_sources(o);
  ASSERT_EQ(lines.size(), 4u);
  const char* keys[] = {"bc.dataset", "init.dataset", "distill.teacher", "init.policy"};
  for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(lines[k].find(keys[k]), 0u) << lines[k];
  make("CartPole-v1");
  EXPECT_EQ(unready_sources(o), std::vector<std::string>{});
  Manifest manifest = read_manifest(o.bc.dataset);
  manifest.state = DatasetState::kRunning;
  write_manifest(o.bc.dataset, manifest);
  lines = unready_sources(o);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("not finished"), lines[0].npos) << lines[0];
}

TrainOptions distilling(const std::string& teacher, const char* env) {
  TrainOptions o;
  o.algorithm = "distill";
  o.env.id = env;
  o.env.num_envs = 32;
  o.threads = 1;
  o.total_steps = 1'000'000;
  o.policy.hidden = {32};
  o.ppo.horizon = 16;
  o.ppo.minibatches = 2;
  o.ppo.learning_rate = 3e-3;
  o.ppo.normalize_advantages = false;
  o.ppo.objective = Objective::kImitate;
  o.distill.teacher = teacher;
  return o;
}

// A teacher with opinions: its last layer is scaled up. The student's loss is the cross entropy with its samples, so it comes
// down to about the teacher's own entropy, whatever the teacher remembers.
TEST(Distill, TheStudentComesToTheTeachersDistribution) {
  for (const MemoryKind memory : {MemoryKind::kNone, MemoryKind::kGru}) {
    const TempDir dir;
    PolicyWeights teacher(shape_of("CartPole-v1", memory));
    initialize_weights(teacher, 12, 0.0f);
    const DenseLayer& head = teacher.layout.actor.head();
    for (std::int64_t k = 0; k < std::int64_t{head.inputs} * head.width; ++k)
      teacher.params[static_cast<std::size_t>(head.weight + k)] *= 5000.0f;
    const std::string path = dir.path() + "/policy.safetensors";
    save_policy(path, "CartPole-v1", "{}", teacher);
    TrainOptions o = distilling(path, "CartPole-v1");
    o.policy.memory = memory;
    o.policy.memory_size = memory == MemoryKind::kNone ? 0 : 16;
    testing::expect_resume_equals_no_interruption(o, 2, 2);
    testing::expect_same_on_two_threads(o);
    EXPECT_EQ(testing::weights_hash(o, 3), memory == MemoryKind::kNone
                                               ? "d3320b53bf803ef7024bbdf498108040"
                                               : "84e86888014aec359c84c259c18088dd");
    testing::Run run(o);
    const double first = run->step().metric("policy_loss");
    for (int k = 0; k < 200; ++k) run->step();
    double last = 0, entropy = 0;
    for (int k = 0; k < 20; ++k) {
      const UpdateReport r = run->step();
      last += r.metric("policy_loss") / 20;
      entropy += r.metric("entropy") / 20;
    }
    EXPECT_NEAR(first, std::log(2.0), 0.03);
    EXPECT_LT(last, 0.6);
    // 10,240 samples: log pi has a standard error of about 0.5 / sqrt(10,240) = 0.005. The rest is what 32 units miss of 64.
    EXPECT_NEAR(last, entropy, 0.05);
  }
}

}  // namespace
}  // namespace rollmill
