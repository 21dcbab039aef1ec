// Replay against an oracle that keeps everything and looks it up in the plainest way.
#include "trainer/replay/replay_buffer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "core/base/thread_pool.h"
#include "core/io/atomic_file.h"
#include "core/io/h5.h"
#include "core/rng/rng.h"
#include "envs/registry.h"
#include "tests/core/io/temp_dir.h"
#include "tests/core/rng/statistics.h"
#include "trainer/replay/replay_collector.h"

namespace rollmill {
namespace {

using testing::exit_code_of;
using testing::TempDir;

constexpr float kGamma = 0.75f;  // its powers are exact

// Steps of made-up environments with two real observations and one masked choice of five, and everything that happened in them.
class History {
 public:
  History(int envs, std::int64_t capacity, int n_step, float alpha = 0)
      : envs_(envs),
        spec_(make_spec()),
        rollout_(spec_, 1, envs),
        replay(spec_, config(envs, capacity, n_step, alpha)) {
    for (int i = 0; i < envs; ++i) observe(i, 0);
    const RolloutBuffer& b = rollout_.buffer();
    final_masks_.resize(static_cast<std::size_t>(b.stride));
    replay.start(b.observation_slot(0), b.mask_slot(0), b.stride);
  }
  static ReplayConfig config(int envs, std::int64_t capacity, int n_step, float alpha) {
    ReplayConfig c;
    c.num_envs = envs;
    c.capacity = capacity;
    c.n_step = n_step;
    c.gamma = kGamma;
    c.reward_scale = 0.5f;
    c.priority_alpha = alpha;
    return c;
  }
  static EnvSpec make_spec() {
    EnvSpec spec;
    spec.observation.resize(2);
    spec.observed = {ObservationKind::kReal, {2}, {}, 2, 2};
    spec.choices = {5};
    spec.action.resize(1);
    spec.mask_columns = 1;
    return spec;
  }

  void step() {
    const RolloutBuffer& b = rollout_.buffer();
    ++time;
    for (int i = 0; i < envs_; ++i) {
      Step s;
      s.action = static_cast<int>(rng_.integer(5));
      s.reward = static_cast<float>(rng_.integer(64)) - 32;  // sums of them are exact
      const std::uint32_t fate = rng_.integer(8);
      s.end = fate == 0 ? kTerminated : fate == 1 ? kTruncated : kRunning;
      s.last = 1000 + rng_.uniform();
      steps_[{time - 1, i}] = s;
      b.discrete_slot(0)[i] = s.action;
      b.rewards[i] = s.reward;
      b.ends[i] = s.end;
      for (int k = 0; k < 2; ++k)
        b.final_observations[k * b.stride + i] = s.last + static_cast<float>(k);
      final_masks_[static_cast<std::size_t>(i)] = mask_of(s.last);
      observe(i, 1);
    }
    replay.push(b, final_masks_.data());
  }

  // Every time whose n steps are known and whose first is still kept, and nothing else, may be drawn.
  void expect_row(std::int64_t row, std::int64_t t, int i, int n) const {
    const Shown& shown = shown_.at({t, i});
    const float* words = replay.observations() + row * replay.row_words();
    EXPECT_EQ(std::memcmp(words, shown.o, sizeof shown.o), 0) << t;
    EXPECT_EQ(*replay.mask(words), mask_of(shown.o[0]));
    EXPECT_EQ(replay.action(row)[0], steps_.at({t, i}).action);
    double reward = 0, discount = 1;
    const float* next = nullptr;
    float last[2];
    for (int k = 0; k < n; ++k) {
      const Step& s = steps_.at({t + k, i});
      reward += discount * 0.5 * double{s.reward};
      discount *= double{kGamma};
      if (s.end == kTerminated) discount = 0;
      if (s.end == kTruncated) last[0] = s.last, last[1] = s.last + 1, next = last;
      if (s.end != kRunning) break;
      next = shown_.at({t + k + 1, i}).o;
    }
    float got[3];
    ASSERT_EQ(replay.row_words(), 3);
    const NStep result = replay.n_step(row, got);
    EXPECT_EQ(result.reward, reward) << t << ", " << i;
    EXPECT_EQ(result.discount, discount) << t << ", " << i;
    if (discount > 0) {
      EXPECT_EQ(std::memcmp(got, next, 2 * sizeof *got), 0) << t << ", " << i;
      EXPECT_EQ(*replay.mask(got), mask_of(next[0])) << t << ", " << i;
    }
  }

  int envs() const { return envs_; }
  std::int64_t time = 0;

 private:
  struct Step {
    int action;
    float reward, last;
    EpisodeEnd end;
  };
  struct Shown {
    float o[2];
  };
  void observe(int i, int slot) {
    Shown s{{rng_.normal(), rng_.normal()}};
    shown_[{time, i}] = s;
    const RolloutBuffer& b = rollout_.buffer();
    for (int k = 0; k < 2; ++k) b.observation_slot(slot)[k * b.stride + i] = s.o[k];
    b.mask_slot(slot)[i] = mask_of(s.o[0]);
  }
  // Of any bits, NaN's too.
  static Word mask_of(float observation) { return 0x7f800001u ^ (math::to_bits(observation) >> 9); }

  int envs_;
  EnvSpec spec_;
  HostRollout rollout_;
  std::vector<Word> final_masks_;
  Rng rng_{9, Purpose::kTest, 0, 0, 0};
  std::map<std::pair<std::int64_t, int>, Step> steps_;
  std::map<std::pair<std::int64_t, int>, Shown> shown_;

 public:
  ReplayBuffer replay;
};

// Three rounds of the ring, all rows of every moment: exact, since all sums are.
TEST(Replay, NStepReturnsEqualAPlainOracle) {
  for (const int n : {1, 2, 3, 7}) {
    for (const int envs : {1, 3}) {
      SCOPED_TRACE(std::to_string(n) + " steps, " + std::to_string(envs) + " environments");
      const std::int64_t kept = 11, slots = kept + 1;
      History h(envs, kept * envs, n);
      while (h.time < 3 * kept) {
        EXPECT_EQ(h.replay.size(),
                  std::max<std::int64_t>(0, std::min(h.time, kept) - n + 1) * envs);
        for (std::int64_t t = std::max<std::int64_t>(0, h.time - kept); t + n <= h.time; ++t) {
          for (int i = 0; i < envs; ++i) h.expect_row(t % slots * envs + i, t, i, n);
        }
        h.step();
      }
    }
  }
}

TEST(Replay, UniformDrawsAreUniformOverWhatMayBeDrawn) {
  History h(3, 60, 4);
  while (h.time < 50) h.step();
  std::vector<int> counts(static_cast<std::size_t>(21 * 3));
  std::vector<ReplayDraw> drawn(100);
  for (int update = 0; update < 1000; ++update) {
    h.replay.draw(1, update, 0, 100, drawn.data());
    for (const ReplayDraw& d : drawn) {
      EXPECT_EQ(d.weight, 1.0f);
      ++counts[static_cast<std::size_t>(d.row)];
    }
  }
  std::vector<int> possible;
  for (std::int64_t t = 30; t <= 46; ++t) {
    for (int i = 0; i < 3; ++i)
      possible.push_back(counts[static_cast<std::size_t>(t % 21 * 3 + i)]);
  }
  EXPECT_EQ(std::accumulate(possible.begin(), possible.end(), 0), 100'000);
  EXPECT_LT(test::chi_square(possible), test::chi_square_critical(possible.size()));
}

// Shares of draws and weights against their formulas in float64.
TEST(Replay, PrioritisedDrawsFollowTheErrors) {
  const float alpha = 0.5f, beta = 0.25f;
  History h(2, 20, 1, alpha);
  while (h.time < 25) h.step();
  std::vector<ReplayDraw> all;
  std::vector<float> errors;
  double total = 0, rarest = 1e9;
  std::map<std::int64_t, double> priority;
  for (std::int64_t t = 15; t < 25; ++t) {
    for (int i = 0; i < 2; ++i) {
      all.push_back({t % 11 * 2 + i, 1});
      errors.push_back(0.1f * static_cast<float>(t - 14) - 0.03f * static_cast<float>(i));
      priority[all.back().row] = std::sqrt(std::abs(static_cast<double>(errors.back())) + 0.01);
    }
  }
  h.replay.set_errors(all.data(), errors.data(), static_cast<int>(all.size()));
  for (const auto& [row, p] : priority) total += p, rarest = std::min(rarest, p);
  std::map<std::int64_t, int> counts;
  std::vector<ReplayDraw> drawn(64);
  const int updates = 4000;
  for (int update = 0; update < updates; ++update) {
    h.replay.draw(3, update, beta, 64, drawn.data());
    double largest = 0;
    for (const ReplayDraw& d : drawn) {
      ASSERT_TRUE(priority.count(d.row));
      ++counts[d.row];
      largest = std::max(largest, std::pow(priority[d.row], -double{beta}));
    }
    for (const ReplayDraw& d : drawn) {
      // Two powers and a quotient in float32.
      EXPECT_NEAR(d.weight, std::pow(priority[d.row], -double{beta}) / largest, 2e-6);
    }
  }
  // Stratified draws vary less than independent ones: their chi-square is below that of independent ones.
  double chi = 0;
  for (const auto& [row, p] : priority) {
    const double expected = 64.0 * updates * p / total, d = counts[row] - expected;
    chi += d * d / expected;
  }
  EXPECT_LT(chi, test::chi_square_critical(priority.size()));
  // What is new comes with the largest priority there was.
  h.step();
  h.replay.draw(3, 0, 0, 64, drawn.data());
  int fresh = 0;
  for (int update = 0; update < 100; ++update) {
    h.replay.draw(3, update, 0, 64, drawn.data());
    for (const ReplayDraw& d : drawn) fresh += d.row / 2 == 25 % 11;
  }
  EXPECT_GT(fresh, 6400 * 2 / 20);
}

TEST(PriorityTree, EqualsPrefixSums) {
  for (const std::int64_t leaves : {1, 2, 3, 8, 13, 100}) {
    PriorityTree tree(leaves), backwards(leaves);
    Rng rng(5, Purpose::kTest, static_cast<std::uint32_t>(leaves), 0, 0);
    std::vector<double> p;
    for (std::int64_t k = 0; k < leaves; ++k)
      p.push_back(rng.bernoulli(0.3f) && k + 1 < leaves ? 0.0
                                                        : static_cast<double>(rng.integer(9) + 1));
    for (std::int64_t k = 0; k < leaves; ++k) tree.set(k, p[static_cast<std::size_t>(k)]);
    for (std::int64_t k = leaves - 1; k >= 0; --k) {
      backwards.set(k, 77);
      backwards.set(k, p[static_cast<std::size_t>(k)]);
    }
    double sum = 0;
    for (std::int64_t k = 0; k < leaves; ++k) {
      const double mine = p[static_cast<std::size_t>(k)];
      for (double u = sum; u < sum + mine; u += 0.25) {
        EXPECT_EQ(tree.find(u), k) << leaves << " leaves, " << u;
        EXPECT_EQ(backwards.find(u), k);
      }
      sum += mine;
    }
    EXPECT_EQ(tree.total(), sum);
    // Beyond the end, where rounding may lead: the last leaf that has something.
    EXPECT_EQ(tree.find(sum), leaves - 1);
  }
}

class SavedReplay : public ::testing::Test {
 protected:
  void save(const ReplayBuffer& replay) {
    AtomicPath file(dir.path() + "/r.h5");
    H5File h5 = H5File::create(file.tmp());
    replay.save(h5.root());
    h5.close();
    file.commit();
  }
  std::function<void()> read(ReplayBuffer& replay) {
    H5File h5 = H5File::open_untrusted(dir.path() + "/r.h5");
    return replay.read(h5.root(), "r.h5");
  }
  TempDir dir;
};

TEST_F(SavedReplay, GoesOnAsIfNothingHadBeen) {
  for (const float alpha : {0.0f, 0.6f}) {
    for (const int steps : {5, 40}) {  // part of the ring, and the ring twice over
      History whole(2, 36, 3, alpha);
      while (whole.time < steps) whole.step();
      ReplayDraw drawn[16];
      float errors[16];
      for (int k = 0; k < 16; ++k) errors[k] = 0.1f * static_cast<float>(k);
      whole.replay.draw(1, 7, 0.5f, 16, drawn);
      whole.replay.set_errors(drawn, errors, 16);
      save(whole.replay);
      ReplayBuffer other(History::make_spec(), History::config(2, 36, 3, alpha));
      read(other)();
      EXPECT_EQ(other.size(), whole.replay.size());
      // The same steps into both: what is drawn stays the same.
      ReplayDraw again[16];
      for (int update = 0; update < 30; ++update) {
        whole.replay.draw(1, update, 0.5f, 16, drawn);
        other.draw(1, update, 0.5f, 16, again);
        float a[3], b[3];
        for (int k = 0; k < 16; ++k) {
          ASSERT_EQ(drawn[k].row, again[k].row);
          ASSERT_EQ(drawn[k].weight, again[k].weight);
          const NStep x = whole.replay.n_step(drawn[k].row, a), y = other.n_step(again[k].row, b);
          ASSERT_EQ(x.reward, y.reward);
          ASSERT_EQ(std::memcmp(a, b, sizeof a), 0);
        }
      }
    }
  }
}

TEST_F(SavedReplay, AnotherShapeAndDamageAreRefused) {
  History h(2, 36, 3);
  while (h.time < 40) h.step();
  save(h.replay);
  const auto refused = [&](int envs, std::int64_t capacity, float alpha) {
    ReplayBuffer other(History::make_spec(), History::config(envs, capacity, 3, alpha));
    std::string message;
    EXPECT_EQ(exit_code_of([&] { read(other); }, &message), 3);
    EXPECT_EQ(other.size(), 0);
    return message;
  };
  EXPECT_NE(refused(2, 20, 0).find("observations"), std::string::npos);
  EXPECT_NE(refused(3, 36, 0).find("observations"), std::string::npos);
  EXPECT_NE(refused(2, 36, 0.5f).find("priorities"), std::string::npos);
  EnvSpec fewer = History::make_spec();
  fewer.choices = {2};  // actions 2 to 4 do not exist there
  ReplayBuffer other(fewer, History::config(2, 36, 3, 0));
  std::string message;
  EXPECT_EQ(exit_code_of([&] { read(other); }, &message), 3);
  EXPECT_NE(message.find("damaged"), std::string::npos) << message;
}

TEST(Replay, MoreThanTheMemoryIsRefused) {
  std::string message;
  const auto make = [] {
    ReplayBuffer(History::make_spec(), History::config(1, std::int64_t{1} << 40, 1, 0));
  };
  EXPECT_EQ(exit_code_of(make, &message), 4);
  EXPECT_NE(message.find("buffer_size"), std::string::npos) << message;
}

// Ranks of one machine take its memory together.
TEST(Replay, MoreThanTheMemoryInAllRanksIsRefused) {
  ReplayConfig config = History::config(1, 1 << 10, 1, 0);
  ReplayBuffer(History::make_spec(), config);
  config.copies = 1 << 30;
  std::string message;
  EXPECT_EQ(exit_code_of([&] { ReplayBuffer(History::make_spec(), config); }, &message), 4);
  EXPECT_NE(message.find("each of 1073741824 ranks here"), std::string::npos) << message;
}

// Real environments, ends of both kinds: what the collector stores is what a second batch does with the same actions.
TEST(ReplayCollector, StoresWhatTheEnvironmentsDid) {
  const EnvEntry& entry = find_env("CartPole-v1");
  const int envs = 800;  // enough for two threads
  BatchConfig config;
  config.num_envs = envs;
  config.seed = 3;
  config.time_limit = 20;
  ReplayConfig replay;
  replay.num_envs = envs;
  replay.capacity = envs * 50;
  replay.gamma = 1;
  std::vector<std::vector<EpisodeRecord>> episodes;
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    const auto group = make_process_group(LaunchInfo{}, false);
    ReplayCollector collector(entry, config, {}, replay, pool, *group);
    collector.reset();
    const RandomPolicy policy(entry.spec(), 8);
    episodes.emplace_back();
    for (int t = 0; t < 50; ++t) collector.step(policy, episodes.back());
    const ReplayBuffer& r = collector.replay();
    const auto second = entry.make_cpu(config, &pool);
    HostRollout memory(entry.spec(), 1, envs);
    const RolloutBuffer& b = memory.buffer();
    second->reset(b.observation_slot(0));
    for (int t = 0; t < 50; ++t) {
      for (std::int64_t i = 0; i < envs; ++i) b.discrete_slot(0)[i] = r.action(t * envs + i)[0];
      for (std::int64_t i = 0; i < envs; ++i) {
        for (int k = 0; k < 4; ++k)
          ASSERT_EQ(r.observations()[(t * envs + i) * 4 + k],
                    b.observation_slot(0)[k * b.stride + i]);
      }
      second->step(b.step_buffers(0));
      for (std::int64_t i = 0; i < envs; ++i) {
        float next[4];
        const NStep n = r.n_step(t * envs + i, next);
        ASSERT_EQ(n.reward, b.rewards[i]);
        ASSERT_EQ(n.discount, b.ends[i] == kTerminated ? 0.0f : 1.0f);
        const float* shown = b.ends[i] == kTruncated ? b.final_observations : b.observation_slot(1);
        for (int k = 0; k < 4 && n.discount > 0; ++k) ASSERT_EQ(next[k], shown[k * b.stride + i]);
      }
      advance_rollout(b);
    }
  }
  ASSERT_EQ(episodes[0].size(), episodes[1].size());
  int limits = 0, falls = 0;
  for (std::size_t k = 0; k < episodes[0].size(); ++k) {
    EXPECT_EQ(episodes[0][k].length, episodes[1][k].length);
    (episodes[0][k].outcome == 0 ? limits : falls) += 1;
  }
  EXPECT_GT(limits, 10);
  EXPECT_GT(falls, 10);
}

}  // namespace
}  // namespace rollmill
