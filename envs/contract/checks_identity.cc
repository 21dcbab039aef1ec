// Checks that the same thing twice is the same bits: threads, batches, memory, snapshots, replay.
#include <future>
#include <vector>

#include "envs/contract/check_support.h"
#include "envs/env.h"

namespace rollmill::contract {
namespace {

constexpr int kSteps = 200;

}  // namespace

void check_repeatable(const EnvEntry& entry, Broken& broken) {
  const auto first = Runner(entry, check_config(200)).play(kSteps);
  const int i = first_difference(first, Runner(entry, check_config(200)).play(kSteps));
  if (i >= 0) {
    broken.push_back(
        "two batches with the same seed play environment " + text(i) +
        " differently: randomness must come from the Rng that reset and step are given, "
        "not from rand(), a clock, or static variables");
  }
}

void check_threads(const EnvEntry& entry, Broken& broken) {
  Runner alone(entry, check_config(1500));
  const auto expected = alone.play(kSteps);
  // All of it on one other thread: of a pool, whose threads take over each other's tasks, a busy machine may let none but the caller
  // do anything.
  const auto elsewhere = std::async(std::launch::async, [&] {
                           return Runner(entry, check_config(1500)).play(kSteps);
                         }).get();
  const int other = first_difference(expected, elsewhere);
  if (other >= 0) {
    broken.push_back("on another thread environment " + text(other) +
                     " has other bits than on the calling one: is there a static or thread-local "
                     "variable?");
    return;
  }
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    Runner pooled(entry, check_config(1500), &pool);
    const int i = first_difference(expected, pooled.play(kSteps));
    if (i >= 0) {
      broken.push_back("on " + text(threads) + " threads environment " + text(i) +
                       " has other bits than on the calling thread: is there a static or "
                       "thread-local variable?");
    } else if (pooled.snapshot() != alone.snapshot()) {
      broken.push_back("on " + text(threads) + " threads the states differ in the end");
    }
  }
}

void check_batch_cuts(const EnvEntry& entry, Broken& broken) {
  Runner whole(entry, check_config(1000));
  const auto expected = whole.play(kSteps);
  const auto compare = [&](const BatchConfig& c) {
    const auto values = Runner(entry, c).play(kSteps);
    for (int i = 0; i < c.num_envs; ++i) {
      const std::uint32_t id =
          c.first_environment + static_cast<std::uint32_t>(i) * c.environment_stride;
      if (values[static_cast<std::size_t>(i)] == expected[id]) continue;
      broken.push_back("environment " + text(id) + " plays differently in a batch of " +
                       text(c.num_envs) + " than in one of 1000");
      return;
    }
  };
  for (int part = 0; part < 10; ++part) {
    BatchConfig c = check_config(100);
    c.first_environment = static_cast<std::uint32_t>(100 * part);
    compare(c);
  }
  for (const std::uint32_t id : {0u, 17u, 511u, 512u, 999u}) {
    BatchConfig c = check_config(1);
    c.first_environment = id;
    compare(c);
  }
  BatchConfig c = check_config(140);
  c.first_environment = 3;
  c.environment_stride = 7;
  compare(c);
}

void check_ranges_of_a_step(const EnvEntry& entry, Broken& broken) {
  Runner whole(entry, check_config(1100)), cut(entry, check_config(1100));
  const auto expected = whole.play(60);
  cut.cut_at = {1040, 512, 512, 64, 3, 1};
  const int i = first_difference(expected, cut.play(60));
  if (i >= 0 || cut.snapshot() != whole.snapshot())
    broken.push_back(
        "stepping ranges [1040, 1100), [512, 1040), ... differs from one step of all, "
        "first in environment " +
        text(i));
}

// Episode k of environment e, reached through k episodes of others on the same slots, against episode k started at once.
void check_fresh_episodes(const EnvEntry& entry, Broken& broken) {
  constexpr std::uint32_t kLater = 3;
  constexpr int kLimit = 12;
  Runner played(entry, check_config(100, kLimit));
  BatchConfig later = check_config(100, kLimit);
  later.first_episode = kLater;
  Runner direct(entry, later);
  // Per environment: the hash of episode kLater, from its first observation to its end.
  const auto episode_hashes = [&](Runner& r) {
    std::vector<Fnv> hashes(100);
    std::vector<bool> over(100, false);
    for (int t = 0; t < 8 * kLimit; ++t) {
      for (int i = 0; i < 100; ++i) {
        const bool now = r.batch().episodes().episode[i] == kLater;
        for (int k = 0; now && k < r.columns(); ++k)
          hashes[static_cast<std::size_t>(i)].add(r.observation(k, i));
      }
      std::vector<bool> counted(100);
      for (int i = 0; i < 100; ++i)
        counted[static_cast<std::size_t>(i)] = r.batch().episodes().episode[i] == kLater;
      r.step();
      for (int i = 0; i < 100; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (!counted[at]) continue;
        hashes[at].add(r.rewards[at]);
        hashes[at].add(std::uint32_t{r.ends[at]});
        over[at] = over[at] || r.ends[at] != kRunning;
      }
    }
    std::vector<std::uint64_t> values;
    for (std::size_t i = 0; i < 100; ++i) values.push_back(over[i] ? hashes[i].value() : 0);
    return values;
  };
  const auto expected = episode_hashes(direct);
  const int i = first_difference(expected, episode_hashes(played));
  if (i >= 0) {
    broken.push_back("episode " + text(kLater) + " of environment " + text(i) +
                     " differs when earlier episodes were played before it: reset must set every "
                     "word of the state, and nothing may live outside the state");
  }
}

void check_observe(const EnvEntry& entry, Broken& broken) {
  Runner runner(entry, check_config(70));
  runner.play(30);
  const auto written = runner.observations;
  const auto masks = runner.masks;
  runner.poison();
  runner.batch().observe(runner.observation_data(), runner.mask_data());
  for (int i = 0; i < runner.n(); ++i) {
    for (int k = 0; k < runner.columns(); ++k) {
      if (runner.observation(k, i) == written[static_cast<std::size_t>(k * runner.stride() + i)])
        continue;
      broken.push_back("observing environment " + text(i) + " again gives other bits in word " +
                       text(k) +
                       ": does observe() leave words unwritten, or read what is not in the state?");
      return;
    }
    for (int k = 0; k < runner.mask_columns(); ++k) {
      if (runner.mask(k, i) == masks[static_cast<std::size_t>(k * runner.stride() + i)]) continue;
      broken.push_back("the action mask of environment " + text(i) +
                       " is no function of its state");
      return;
    }
  }
}

void check_snapshots(const EnvEntry& entry, Broken& broken) {
  Runner runner(entry, check_config(600));
  runner.play(37);
  const auto saved = runner.snapshot();
  const auto continue_from = [&](Runner& r) {
    r.batch().load(saved.data());
    r.batch().observe(r.observation_data(), r.mask_data());
    return r.play(50);
  };
  const auto first = continue_from(runner);
  const auto after = runner.snapshot();
  Runner fresh(entry, check_config(600));
  for (Runner* r : {&runner, &fresh}) {
    const int i = first_difference(first, continue_from(*r));
    if (i < 0 && r->snapshot() == after) continue;
    broken.push_back("environment " + text(i) + " plays on differently after a snapshot was " +
                     "restored: something that matters is not in the state");
    return;
  }
}

// Clones play on like the original; a branch with another action leaves the original alone.
void check_branches(const EnvEntry& entry, Broken& broken) {
  Runner runner(entry, check_config(40));
  runner.play(11);
  EnvBatch& batch = runner.batch();
  const auto words = batch.save_environment(3);
  const auto neighbour = batch.save_environment(12);
  batch.copy_environment(3, 11);
  batch.load_environment(30, words);
  if (batch.save_environment(11) != words || batch.save_environment(30) != words ||
      batch.save_environment(12) != neighbour) {
    broken.emplace_back("a saved environment does not come back word for word");
    return;
  }
  batch.observe(runner.observation_data(), runner.mask_data());
  for (int t = 0; t < 30; ++t) {
    runner.step();
    Fnv a, b, c;
    runner.add_step(a, 3);
    runner.add_step(b, 11);
    runner.add_step(c, 30);
    if (a.value() == b.value() && a.value() == c.value()) continue;
    broken.push_back("a clone of an environment differs from the original " + text(t + 1) +
                     " steps later");
    return;
  }
  // Back to the branching point, in a batch of another size and another place.
  Runner other(entry, check_config(5));
  other.batch().load_environment(2, words);
  other.batch().observe(other.observation_data(), other.mask_data());
  runner.batch().load_environment(3, words);
  runner.batch().observe(runner.observation_data(), runner.mask_data());
  for (int t = 0; t < 30; ++t) {
    runner.step();
    other.step();
    Fnv a, b;
    runner.add_step(a, 3);
    other.add_step(b, 2);
    if (a.value() == b.value()) continue;
    broken.push_back("an environment moved to another batch differs " + text(t + 1) +
                     " steps later");
    return;
  }
}

void check_replay(const EnvEntry& entry, Broken& broken) {
  constexpr int kEnvs = 64;
  Runner runner(entry, check_config(kEnvs));
  const int columns = runner.spec().action_size();
  std::vector<std::uint32_t> actions;
  std::vector<Fnv> expected(kEnvs), replayed(kEnvs);
  for (int t = 0; t < kSteps; ++t) {
    runner.draw_actions();
    for (int k = 0; k < columns; ++k) {
      for (int i = 0; i < kEnvs; ++i) actions.push_back(runner.action_word(k, i));
    }
    runner.step_again();
    for (int i = 0; i < kEnvs; ++i) runner.add_step(expected[static_cast<std::size_t>(i)], i);
  }
  Runner again(entry, check_config(kEnvs));
  std::size_t next = 0;
  for (int t = 0; t < kSteps; ++t) {
    for (int k = 0; k < columns; ++k) {
      for (int i = 0; i < kEnvs; ++i) again.set_action_word(k, i, actions[next++]);
    }
    again.step_again();
    for (int i = 0; i < kEnvs; ++i) {
      const auto at = static_cast<std::size_t>(i);
      again.add_step(replayed[at], i);
    }
  }
  for (std::size_t i = 0; i < kEnvs; ++i) {
    if (expected[i].value() == replayed[i].value()) continue;
    broken.push_back("the recorded actions of environment " + text(static_cast<int>(i)) +
                     " do not replay to the same bits");
    return;
  }
}

}  // namespace rollmill::contract
