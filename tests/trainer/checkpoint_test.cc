// Checkpoints: resume equals no interruption bit for bit; damage is found, named and stepped over.
#include "trainer/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <filesystem>

#include "core/io/atomic_file.h"
#include "rollout/checkpoint_folder.h"
#include "tests/core/io/temp_dir.h"
#include "trainer/ppo_trainer.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;
using testing::exit_code_of;
using testing::TempDir;

TrainOptions options(const std::string& env, int frame_stack = 1) {
  TrainOptions o;
  o.env.id = env;
  o.env.num_envs = 24;
  o.env.time_limit = 30;
  o.threads = 2;
  o.policy.hidden = {12, 20};
  o.log_std_init = -0.5f;
  o.policy.frame_stack = frame_stack;
  o.normalize_observations = find_env(env).spec().observed.kind == ObservationKind::kReal;
  o.total_steps = 24 * 16 * 20;
  o.ppo.horizon = 16;
  o.ppo.minibatches = 2;
  o.ppo.anneal_learning_rate = o.ppo.anneal_clip = o.ppo.normalize_rewards = true;
  o.ppo.entropy_coefficient_end = 0.01f;
  o.checkpoint_keep = 3;
  return o;
}

struct Trainer {
  explicit Trainer(const TrainOptions& o)
      : group(make_process_group(LaunchInfo{}, false)), trainer(o, *group) {}
  PpoTrainer* operator->() { return &trainer; }
  PpoTrainer& operator*() { return trainer; }
  std::unique_ptr<ProcessGroup> group;
  PpoTrainer trainer;
};

std::vector<std::byte> environments(Trainer& t) {
  const EnvBatch& batch = t->batch();
  std::vector<std::byte> bytes(batch.snapshot_bytes());
  batch.save(bytes.data());
  return bytes;
}

void expect_same_state(Trainer& a, Trainer& b) {
  EXPECT_EQ(a->weights().params, b->weights().params);
  EXPECT_EQ(a->optimizer().first, b->optimizer().first);
  EXPECT_EQ(a->optimizer().second, b->optimizer().second);
  EXPECT_EQ(a->optimizer().step, b->optimizer().step);
  const TrainProgress &x = a->progress(), &y = b->progress();
  EXPECT_EQ(x.update, y.update);
  EXPECT_EQ(x.env_steps, y.env_steps);
  EXPECT_EQ(x.episodes, y.episodes);
  ASSERT_EQ(x.recent.size(), y.recent.size());
  for (std::size_t i = 0; i < x.recent.size(); ++i) {
    const EpisodeRecord &p = x.recent[i], &q = y.recent[i];
    EXPECT_TRUE(p.episode_return == q.episode_return && p.length == q.length &&
                p.outcome == q.outcome)
        << i;
  }
  EXPECT_EQ(environments(a), environments(b));
  // Words, some of which may be the bits of a NaN.
  const auto o = a->experience().first_observations(), q = b->experience().first_observations();
  ASSERT_EQ(o.size(), q.size());
  EXPECT_EQ(std::memcmp(o.data(), q.data(), o.size() * sizeof(float)), 0);
  const auto &m = a->weights().normalizer.moments(), &n = b->weights().normalizer.moments();
  ASSERT_EQ(m.size(), n.size());
  for (std::size_t k = 0; k < m.size(); ++k) {
    EXPECT_TRUE(m[k].count == n[k].count && m[k].mean == n[k].mean && m[k].m2 == n[k].m2) << k;
  }
}

// Bits and choices, action masks, stacks of frames that reach back further than a rollout, and what a policy remembers.
TEST(Checkpoint, ResumeEqualsNoInterruption) {
  struct Case {
    const char* env;
    int stack = 1;
    MemoryKind memory = MemoryKind::kNone;
  };
  const Case cases[] = {{"CartPole-v1"},
                        {"Pendulum-v1"},
                        {"CartPole-v1", 20},
                        {"Rollmill/Cups-v0", 3},
                        {"CartPole-v1", 1, MemoryKind::kGru},
                        {"Rollmill/Cups-v0", 1, MemoryKind::kMinGru}};
  for (const auto& [env, stack, memory] : cases) {
    SCOPED_TRACE(env);
    const TempDir run;
    TrainOptions chosen = options(env, stack);
    chosen.policy.memory = memory;
    chosen.policy.memory_size = 9;
    Trainer whole(chosen);
    for (int update = 0; update < 3; ++update) whole->step();
    const std::string saved = save_checkpoint(run.path(), *whole);
    EXPECT_EQ(saved,
              checkpoints_dir(run.path()) + "/step_000000001152");  // 3 updates of 24 x 16 steps
    EXPECT_EQ(check_checkpoint(saved), "");
    Trainer resumed(chosen);
    std::string warnings;
    EXPECT_EQ(load_newest_checkpoint(run.path(), *resumed, warnings), saved);
    EXPECT_EQ(warnings, "");
    expect_same_state(whole, resumed);
    ASSERT_GT(whole->progress().recent.size(), 0u);
    for (int update = 0; update < 2; ++update) {
      const UpdateReport a = whole->step(), b = resumed->step();
      EXPECT_EQ(a.metric("learning_rate"), b.metric("learning_rate"));
      EXPECT_EQ(a.mean_return, b.mean_return);
      EXPECT_EQ(a.metric("grad_norm"), b.metric("grad_norm"));
      EXPECT_EQ(b.metric("first_ratio_error"), 0);
    }
    expect_same_state(whole, resumed);
  }
}

TEST(Checkpoint, SavingChangesNothing) {
  const TempDir run;
  Trainer saving(options("CartPole-v1")), other(options("CartPole-v1"));
  for (int update = 0; update < 3; ++update) {
    saving->step();
    other->step();
    save_checkpoint(run.path(), *saving);
  }
  expect_same_state(saving, other);
}

class CheckpointFolders : public ::testing::Test {
 protected:
  // Five updates, each saved.
  void train(int keep) {
    TrainOptions o = options("CartPole-v1");
    o.checkpoint_keep = keep;
    Trainer trainer(o);
    for (int i = 0; i < 5; ++i) {
      trainer->step();
      saved.push_back(save_checkpoint(run.path(), *trainer));
    }
  }
  std::string load(std::string* warnings = nullptr) {
    Trainer trainer(options("CartPole-v1"));
    std::string text;
    const std::string folder = load_newest_checkpoint(run.path(), *trainer, text);
    update = trainer->progress().update;
    if (warnings != nullptr) *warnings = text;
    return folder;
  }
  static void flip_a_bit(const std::string& path) {
    std::string text = read_file(path, 1 << 24);
    text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
    write_file_atomic(path, text);
  }
  TempDir run;
  std::vector<std::string> saved;
  std::int64_t update = -1;
};

TEST_F(CheckpointFolders, KeepsTheNewest) {
  train(3);
  EXPECT_EQ(list_checkpoints(run.path()), (std::vector<std::string>{saved[4], saved[3], saved[2]}));
  EXPECT_EQ(load(), saved[4]);
  EXPECT_EQ(update, 5);
  EXPECT_EQ(read_file(checkpoints_dir(run.path()) + "/latest", 100), "step_000000001920\n");
}

TEST_F(CheckpointFolders, NeverFewerThanTwo) {
  train(1);
  EXPECT_EQ(list_checkpoints(run.path()), (std::vector<std::string>{saved[4], saved[3]}));
  // Three entries: the two and `latest`; no leftovers of what was pruned.
  EXPECT_EQ(std::distance(fs::directory_iterator(checkpoints_dir(run.path())), {}), 3);
}

TEST_F(CheckpointFolders, DamageIsNamedAndSteppedOver) {
  train(4);
  std::string warnings;
  flip_a_bit(saved[4] + "/state-rank0.h5");
  EXPECT_NE(check_checkpoint(saved[4]).find("state-rank0.h5"), std::string::npos);
  EXPECT_EQ(load(&warnings), saved[3]);
  EXPECT_EQ(update, 4);
  EXPECT_NE(warnings.find(saved[4]), std::string::npos) << warnings;
  EXPECT_NE(warnings.find(saved[3]), std::string::npos) << warnings;
  std::string problems;
  EXPECT_EQ(newest_good_checkpoint(run.path(), problems), saved[3]);
  EXPECT_NE(problems.find(saved[4]), std::string::npos) << problems;
  EXPECT_EQ(find_policy_file(run.path()), saved[3] + "/policy.safetensors");
  fs::remove(saved[3] + "/policy.safetensors");
  EXPECT_EQ(load(&warnings), saved[2]);
  std::string message;
  const std::string manifest = saved[2] + "/MANIFEST.json", text = read_file(manifest, 1 << 20);
  write_file_atomic(manifest, text.substr(0, text.size() / 2));
  flip_a_bit(saved[1] + "/policy.safetensors");
  EXPECT_EQ(exit_code_of([&] { load(); }, &message), 3);
  EXPECT_NE(message.find("policy.safetensors"), std::string::npos) << message;
  EXPECT_EQ(exit_code_of([&] { find_policy_file(run.path()); }), 3);
  EXPECT_EQ(exit_code_of([&] { find_policy_file(saved[4]); }), 3);
}

TEST_F(CheckpointFolders, HalfWrittenOnesAreNotSeen) {
  EXPECT_EQ(load(), "");  // no checkpoints at all
  train(4);
  fs::copy(saved[3], saved[4] + "9.tmp", fs::copy_options::recursive);
  fs::create_directories(checkpoints_dir(run.path()) + "/step_abc");
  EXPECT_EQ(list_checkpoints(run.path()).size(), 4u);
  EXPECT_EQ(load(), saved[4]);
  // `latest` is for people: readers go by name.
  write_file_atomic(checkpoints_dir(run.path()) + "/latest", "step_000000000001\n");
  EXPECT_EQ(load(), saved[4]);
}

// Numbers outgrow their twelve digits, and names in alphabetical order are then not in order.
TEST_F(CheckpointFolders, NumbersBeyondTwelveDigitsAreOrdered) {
  const std::int64_t steps[] = {5, 999999999999, 1000000000000, 9999999999999, 12345678901234};
  for (std::int64_t n : steps)
    fs::create_directories(checkpoints_dir(run.path()) + "/" + checkpoint_name(n));
  for (const char* other : {"step_1000000000000.tmp", "step_123", "step_", "step_-00000000001"})
    fs::create_directories(checkpoints_dir(run.path()) + "/" + other);
  EXPECT_EQ(checkpoint_name(12345678901234), "step_12345678901234");
  std::vector<std::string> newest_first;
  for (std::int64_t n : {12345678901234, 9999999999999, 1000000000000, 999999999999, 5L})
    newest_first.push_back(checkpoints_dir(run.path()) + "/" + checkpoint_name(n));
  EXPECT_EQ(list_checkpoints(run.path()), newest_first);
}

TEST_F(CheckpointFolders, ASmallerWindowOfRecentEpisodesShrinksIt) {
  train(2);
  TrainOptions o = options("CartPole-v1");
  o.stop_at_return = 1e9;
  const auto recent_after = [&](int window) {
    o.stop_window = window;
    Trainer trainer(o);
    std::string warnings;
    load_newest_checkpoint(run.path(), *trainer, warnings);
    const UpdateReport report = trainer->step();
    const std::deque<EpisodeRecord> recent = trainer->progress().recent;
    double sum = 0;
    for (const EpisodeRecord& e : recent) sum += e.episode_return;
    EXPECT_NEAR(report.mean_return, sum / static_cast<double>(recent.size()), 1e-4);
    return recent;
  };
  const auto many = recent_after(100), few = recent_after(7);
  ASSERT_GT(many.size(), 20u);
  ASSERT_EQ(few.size(), 7u);
  for (std::size_t i = 0; i < 7; ++i)  // the last ones
    EXPECT_EQ(few[i].episode_return, many[many.size() - 7 + i].episode_return);
}

TEST_F(CheckpointFolders, SavingAgainReplacesADamagedOne) {
  Trainer trainer(options("CartPole-v1"));
  trainer->step();
  const std::string folder = save_checkpoint(run.path(), *trainer);
  flip_a_bit(folder + "/policy.safetensors");
  EXPECT_NE(check_checkpoint(folder), "");
  EXPECT_EQ(save_checkpoint(run.path(), *trainer), folder);
  EXPECT_EQ(check_checkpoint(folder), "");
}

TEST_F(CheckpointFolders, AnotherConfigurationIsRefusedAndChangesNothing) {
  train(2);
  const auto refused = [&](TrainOptions o) {
    Trainer other(o), untouched(o);
    std::string message, warnings;
    EXPECT_EQ(exit_code_of([&] { load_newest_checkpoint(run.path(), *other, warnings); }, &message),
              3);
    expect_same_state(other, untouched);
    return message;
  };
  TrainOptions o = options("CartPole-v1");
  o.policy.hidden = {12};
  EXPECT_NE(refused(o).find("policy"), std::string::npos);
  o = options("CartPole-v1");
  o.env.num_envs = 48;
  EXPECT_NE(refused(o).find("environments"), std::string::npos);
  EXPECT_NE(refused(options("Acrobot-v1")).find("Acrobot-v1"), std::string::npos);
}

TEST_F(CheckpointFolders, InfoIsWhatWasTrained) {
  train(2);
  const CheckpointInfo info = read_checkpoint_info(saved[4]);
  EXPECT_EQ(info.environment, "CartPole-v1");
  EXPECT_EQ(info.update, 5);
  EXPECT_EQ(info.env_steps, 5 * 16 * 24);
  EXPECT_EQ(info.world_size, 1);
  EXPECT_EQ(info.seed, 1u);
}

}  // namespace
}  // namespace rollmill
