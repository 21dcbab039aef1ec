// DQN, SAC and TD3 on several ranks (threads here): the bits of one rank, its resume too, and no two opinions.
#include <gtest/gtest.h>

#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "core/io/atomic_file.h"
#include "core/io/h5.h"
#include "rollout/checkpoint_folder.h"
#include "tests/trainer/actor_critic_oracle.h"
#include "tests/trainer/on_ranks.h"
#include "tests/trainer/resume.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::on_ranks;
using testing::TempDir;

struct Case {
  const char* name;
  TrainOptions options;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Four environments, a ring that goes round, more than one step a turn, ends of both kinds.
TrainOptions small_dqn(const char* env) {
  TrainOptions o;
  o.algorithm = "dqn";
  o.env.id = env;
  o.env.num_envs = 4;
  o.env.time_limit = 20;
  o.policy.hidden = {9, 7};
  o.threads = 1;
  o.total_steps = 100'000;
  o.dqn.duelling = true;
  o.dqn.priority_alpha = 0.6f;
  o.dqn.target_every = 7;
  o.dqn.exploration_steps = 500;
  OffPolicyOptions& r = o.dqn.replay;
  r.buffer_size = 400;
  r.learning_starts = 120;
  r.train_every = 3;
  r.report_every = 30;
  r.batch_size = 70;
  r.n_step = 3;
  return o;
}

TrainOptions small_actor_critic(const char* algorithm, OffPolicyOptions& (*replay)(TrainOptions&)) {
  TrainOptions o = testing::small_pendulum(algorithm, replay);
  o.env.num_envs = 4;
  replay(o).train_every = 1;
  replay(o).report_every = 30;
  return o;
}

// The world of the next episodes changes, on all ranks at the same update.
TrainOptions with_curriculum() {
  TrainOptions o = small_dqn("CartPole-v1");
  o.curriculum.kind = CurriculumKind::kSuccess;
  o.curriculum.params = {{0, 9.8, 20}};
  o.curriculum.window = 7;
  o.curriculum.band_low = -1;
  o.curriculum.band_high = -0.5;  // every window is too easy
  return o;
}

OffPolicyOptions& of_sac(TrainOptions& o) { return o.sac.replay; }
OffPolicyOptions& of_td3(TrainOptions& o) { return o.td3.replay; }

std::vector<Case> cases() {
  return {{"dqn", small_dqn("CartPole-v1")},
          {"dqn_masked", small_dqn("Taxi-v3")},
          {"dqn_curriculum", with_curriculum()},
          {"sac", small_actor_critic("sac", of_sac)},
          {"td3", small_actor_critic("td3", of_td3)}};
}

template <class T>
std::string bits_of(const T& number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

// All that a rank holds for the job: weights, optimisers, targets, replay (the bytes of its state file), counters.
std::string state_of(Trainer& t) {
  const TempDir dir;
  AtomicPath file(dir.path() + "/state.h5");
  H5File h5 = H5File::create(file.tmp());
  t.save(h5.root());
  h5.close();
  file.commit();
  Xxh3_128 hash;
  hash.update(std::as_bytes(std::span(t.weights().params)));
  std::string state = sha256_file(dir.path() + "/state.h5") + " " + hash.hex();
  const TrainProgress& p = t.progress();
  state += bits_of(p.update) + bits_of(p.env_steps) + bits_of(p.episodes);
  for (const EpisodeRecord& e : p.recent)
    state += bits_of(e.episode_return) + bits_of(e.length) + bits_of(e.outcome);
  return state;
}

// One update, and what it reports but times.
std::string step(Trainer& t) {
  const UpdateReport r = t.step();
  std::string text = bits_of(r.mean_return) + bits_of(r.mean_length) + bits_of(r.difficulty) +
                     bits_of(r.env_steps) + bits_of(r.new_steps) + bits_of(r.episodes);
  for (const Metric& m : r.metrics) text += bits_of(m.value);
  return text;
}

class OffPolicyRanks : public ::testing::TestWithParam<Case> {};

TEST_P(OffPolicyRanks, HaveTheBitsOfOne) {
  const TrainOptions& o = GetParam().options;
  std::vector<std::string> reports(6);
  std::string expected;
  {
    testing::Run alone(o);
    for (std::string& report : reports) report = step(*alone);
    expected = state_of(*alone);
    ASSERT_GT(alone->progress().episodes, 20);
    if (o.curriculum.kind != CurriculumKind::kNone)
      EXPECT_GT(alone->curriculum().difficulty(), 0.1);
  }
  for (const int ranks : {2, 4}) {
    on_ranks(ranks, [&](ProcessGroup& group) {
      const auto trainer = make_trainer(o, group);
      EXPECT_EQ(trainer->batch().num_envs(), 4 / ranks);
      for (const std::string& report : reports) EXPECT_EQ(step(*trainer), report) << ranks;
      EXPECT_EQ(state_of(*trainer), expected) << group.rank() << " of " << ranks;
    });
  }
}

TEST_P(OffPolicyRanks, ResumeEqualsNoInterruption) {
  const TrainOptions& o = GetParam().options;
  const TempDir dir;
  on_ranks(2, [&](ProcessGroup& group) {
    const auto whole = make_trainer(o, group), resumed = make_trainer(o, group);
    for (int k = 0; k < 3; ++k) whole->step();
    const std::string saved = save_checkpoint(dir.path(), *whole);
    std::string warnings;
    EXPECT_EQ(load_newest_checkpoint(dir.path(), *resumed, warnings), saved);
    EXPECT_EQ(state_of(*resumed), state_of(*whole));
    for (int k = 0; k < 3; ++k) EXPECT_EQ(step(*resumed), step(*whole));
    EXPECT_EQ(state_of(*resumed), state_of(*whole));
    // What is the same on all ranks is written once.
    H5File own =
        H5File::open_untrusted(saved + "/state-rank" + std::to_string(group.rank()) + ".h5");
    EXPECT_EQ(own.root().has("replay"), group.rank() == 0);
    EXPECT_EQ(own.root().has("optimizer_first"), group.rank() == 0);
    EXPECT_TRUE(own.root().has("environments"));
  });
}

INSTANTIATE_TEST_SUITE_P(Algorithms, OffPolicyRanks, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

// A turn of more steps than are worth keeping as text is exchanged in parts.
TEST(OffPolicyRanks, OfLongTurnsHaveTheBitsOfOne) {
  TrainOptions o = small_dqn("MinAtar/Seaquest-v1");
  o.env.num_envs = 4096;
  o.dqn.replay.buffer_size = 300'000;
  o.dqn.replay.train_every = o.dqn.replay.report_every = 64;
  testing::Run alone(o);
  const std::string report = step(*alone), expected = state_of(*alone);
  on_ranks(2, [&](ProcessGroup& group) {
    const auto trainer = make_trainer(o, group);
    EXPECT_EQ(step(*trainer), report);
    EXPECT_EQ(state_of(*trainer), expected) << group.rank();
  });
}

TEST(OffPolicyRanks, OfDifferentTurnsSayWhoseDoNotFit) {
  on_ranks(2, [&](ProcessGroup& group) {
    TrainOptions o = small_dqn("CartPole-v1");
    if (group.rank() == 1) o.dqn.replay.train_every = 2;
    const auto trainer = make_trainer(o, group);
    std::string message;
    EXPECT_EQ(exit_code_of([&] { trainer->step(); }, &message), 5);
    EXPECT_NE(message.find("rank " + std::to_string(1 - group.rank())), std::string::npos)
        << message;
  });
}

TEST(OffPolicyRanks, OfDifferentWeightsWriteNoCheckpoint) {
  const TempDir dir;
  on_ranks(2, [&](ProcessGroup& group) {
    const auto trainer = make_trainer(small_dqn("CartPole-v1"), group);
    trainer->step();
    if (group.rank() == 1) trainer->weights().params[3] += 1e-6f;
    std::string message;
    EXPECT_EQ(exit_code_of([&] { save_checkpoint(dir.path(), *trainer); }, &message), 5);
    EXPECT_NE(message.find("rank 1 has other weights than rank 0"), std::string::npos) << message;
  });
  EXPECT_TRUE(list_checkpoints(dir.path()).empty());
}

}  // namespace
}  // namespace rollmill
