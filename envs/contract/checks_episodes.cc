// Checks of how episodes end and follow one another, and of worlds that vary between them.
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "core/math/math.h"
#include "envs/contract/check_support.h"
#include "envs/env.h"

namespace rollmill::contract {
namespace {

bool equal_observations(const Runner& a, bool final_a, const Runner& b, int i) {
  for (int k = 0; k < a.columns(); ++k) {
    const Word x = final_a ? a.final_observation(k, i) : a.observation(k, i);
    if (x != b.observation(k, i)) return false;
  }
  for (int k = 0; k < a.mask_columns(); ++k) {
    if ((final_a ? a.final_mask(k, i) : a.mask(k, i)) != b.mask(k, i)) return false;
  }
  return true;
}

}  // namespace

// Same-step autoreset, seen from twins: one without a time limit plays the ended episode on, so its observation is the
// ended one's last; one whose first episode is number 1 starts with what the autoreset must show, and plays as the next
// episode does.
void check_autoreset(const EnvEntry& entry, Broken& broken) {
  constexpr int kLimit = 3, kEnvs = 600;
  BatchConfig next_config = check_config(kEnvs, 0);
  next_config.first_episode = 1;
  Runner limited(entry, check_config(kEnvs, kLimit)), endless(entry, check_config(kEnvs, 0)),
      next(entry, next_config);
  for (int t = 0; t < kLimit; ++t) {
    limited.step();
    endless.step();
  }
  std::vector<int> truncated;
  for (int i = 0; i < kEnvs; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (limited.ends[at] == kTruncated && limited.lengths[at] == kLimit) truncated.push_back(i);
  }
  for (const int i : truncated) {
    const bool kept = endless.ends[static_cast<std::size_t>(i)] == kRunning &&
                      equal_observations(limited, true, endless, i);
    const bool shown = equal_observations(limited, false, next, i);
    if (kept && shown && limited.batch().episodes().episode[i] == 1 &&
        limited.batch().episodes().step[i] == 0) {
      continue;
    }
    broken.push_back("after truncation of environment " + text(i) +
                     (kept ? " the next episode's first observation is wrong"
                           : " the final observation is not the ended episode's"));
    return;
  }
  for (int t = 0; t < kLimit - 1; ++t) {
    limited.step();
    next.step();
    for (const int i : truncated) {
      if (next.batch().episodes().episode[i] != 1 || equal_observations(limited, false, next, i))
        continue;
      broken.push_back(
          "the episode after a truncation differs from the same episode started alone "
          "(environment " +
          text(i) + ")");
      return;
    }
  }
}

// Where an episode terminates by itself, with the limit on that very step it still terminates.
void check_ends(const EnvEntry& entry, Broken& broken) {
  Runner endless(entry, check_config(200, 0));
  std::map<int, int> ended;  // environment -> length of its first episode
  for (int t = 1; t <= 300; ++t) {
    endless.step();
    for (int i = 0; i < endless.n(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (endless.ends[at] == kTruncated) {
        broken.emplace_back("an episode is truncated although there is no time limit");
        return;
      }
      if (endless.ends[at] == kTerminated && ended.count(i) == 0) ended[i] = t;
    }
  }
  int checked = 0;
  for (const auto& [environment, length] : ended) {
    if (++checked > 20) break;
    BatchConfig c = check_config(1, length);
    c.first_environment = static_cast<std::uint32_t>(environment);
    Runner limited(entry, c);
    for (int t = 0; t < length; ++t) limited.step();
    if (limited.ends[0] == kTerminated && limited.outcomes[0] != kOutcomeTimeLimit &&
        limited.lengths[0] == length) {
      continue;
    }
    broken.push_back(
        "an episode that terminates at its time limit counts as truncated "
        "(environment " +
        text(environment) + ")");
    return;
  }
}

// Over the environment's own limit and a short one: truncation happens at the limit and nowhere else, and the statistics
// of ended episodes are the sums of what the steps reported (float32, in order).
void check_statistics(const EnvEntry& entry, Broken& broken) {
  const EnvSpec spec = entry.spec();
  for (const int limit : {-1, 7}) {
    Runner runner(entry, check_config(40, limit));
    const int expected = limit < 0 ? spec.time_limit : limit;
    if (expected == 0) continue;
    std::vector<float> sums(40, 0.0f);
    std::vector<int> steps(40, 0);
    for (int t = 0; t < std::min(2 * expected + 5, 5000); ++t) {
      runner.step();
      for (std::size_t i = 0; i < 40; ++i) {
        sums[i] += runner.rewards[i];
        ++steps[i];
        const int end = runner.ends[i];
        bool wrong = end == kRunning && steps[i] >= expected;
        if (end != kRunning) {
          wrong = wrong || (end == kTruncated && steps[i] != expected);
          wrong = wrong || (end == kTruncated) != (runner.outcomes[i] == kOutcomeTimeLimit);
          wrong = wrong || runner.lengths[i] != steps[i];
          wrong = wrong || math::to_bits(runner.returns[i]) != math::to_bits(sums[i]);
          sums[i] = 0.0f;
          steps[i] = 0;
        }
        if (!wrong) continue;
        broken.push_back("with a time limit of " + text(expected) +
                         " the end, outcome, length or return of an episode is wrong");
        return;
      }
    }
  }
}

void check_episode_numbers(const EnvEntry& entry, Broken& broken) {
  BatchConfig c = check_config(64, 3);
  c.first_episode = 5;
  c.episode_offset = 2;
  c.episode_stride = 11;
  Runner runner(entry, c);
  std::vector<std::uint32_t> expected;
  for (std::uint32_t i = 0; i < 64; ++i) expected.push_back(5 + 2 * i);
  for (int t = 0; t < 10; ++t) {
    runner.step();
    for (std::size_t i = 0; i < 64; ++i) {
      if (runner.ends[i] != kRunning) expected[i] += 11;
      if (runner.batch().episodes().episode[i] == expected[i]) continue;
      broken.emplace_back("episode numbers do not advance by their stride");
      return;
    }
  }
}

// Every parameter drawn between its default and one end of its range; parameters that are drawn as their defaults change
// no bit.
void check_worlds(const EnvEntry& entry, Broken& broken) {
  const EnvSpec spec = entry.spec();
  BatchConfig c = check_config(120, 9);
  const auto expected = Runner(entry, c).play(60);
  for (std::size_t k = 0; k < spec.params.size(); ++k) {
    const ParamSpec& p = spec.params[k];
    ParamDraw d;
    d.param = static_cast<std::int32_t>(k);
    d.kind = DrawKind::kConstant;
    d.a = static_cast<float>(p.default_value);
    d.low = static_cast<float>(p.field.low);
    d.high = static_cast<float>(p.field.high);
    d.integer = p.integer ? 1 : 0;
    c.world.draws.push_back(d);
  }
  if (Runner(entry, c).play(60) != expected) {
    broken.emplace_back("parameters drawn as their defaults give other bits than the defaults");
    return;
  }
  for (ParamDraw& d : c.world.draws) {
    d.kind = DrawKind::kUniform;
    d.b = d.high - d.a > d.a - d.low ? d.a + (d.high - d.a) * 0.25f : d.a;
    d.a = d.b > d.a ? d.a : d.a - (d.a - d.low) * 0.25f;
    if (d.integer != 0) {
      d.a = std::floor(d.a);
      d.b = std::ceil(d.b);
    }
    if (d.b < d.a) std::swap(d.a, d.b);
  }
  Runner varied(entry, c), again(entry, c);
  std::set<std::vector<double>> seen;
  for (int t = 0; t < 30; ++t) {
    for (int i = 0; i < varied.n(); ++i) {
      const std::vector<double> params = varied.batch().params_of(i);
      seen.insert(params);
      for (std::size_t k = 0; k < params.size(); ++k) {
        if (params[k] >= c.world.draws[k].low && params[k] <= c.world.draws[k].high) continue;
        broken.push_back("parameter '" + spec.params[k].field.name +
                         "' was drawn out of its range");
        return;
      }
    }
    varied.step();
    again.step();
  }
  if (varied.snapshot() != again.snapshot())
    broken.emplace_back("drawn parameters differ from run to run");
  if (!spec.params.empty() && seen.size() < 2)
    broken.emplace_back("drawn parameters are the same in all episodes");
}

// Many short episodes, with prepared and kept initial states and without; with levels and without.
void check_reset_pool(const EnvEntry& entry, Broken& broken) {
  for (const std::uint32_t levels : {0u, 6u}) {
    BatchConfig c = check_config(700, 5);
    c.world.levels.count = levels;
    const auto expected = Runner(entry, c).play(40);
    c.reset_pool = true;
    Runner pooled(entry, c);
    pooled.cut_at = {640, 336, 16};  // ranges as collectors step them, none of them a whole block
    const int i = first_difference(expected, pooled.play(40));
    if (i >= 0) {
      broken.push_back("environment " + text(i) +
                       " plays differently when its initial states are made ahead: reset must "
                       "depend on its Rng and its parameters only");
      return;
    }
  }
}

// What usual, step_usual and observe_usual or reset_is_constant promise. (All pass that declare none.) Large batches, and
// batches of one, in which a shorter text is taken wherever it may be; a world that varies, too.
void check_shortcuts(const EnvEntry& entry, Broken& broken) {
  const auto same = [&](BatchConfig c, int steps) {
    Runner quick(entry, c);
    c.shortcuts = false;
    Runner full(entry, c);
    return full.play(steps) == quick.play(steps) && full.snapshot() == quick.snapshot();
  };
  bool all = same(check_config(600, 5), 100) && same(check_config(600, -1), 300);
  for (std::uint32_t id = 0; all && id < 24; ++id) {
    BatchConfig c = check_config(1, -1);
    c.first_environment = id;
    c.changing_world = id % 2 == 1;
    all = same(c, 300);
  }
  if (!all) {
    broken.emplace_back(
        "the declared shortcuts change bits: where usual holds, step_usual and observe_usual must "
        "do what step and observe do, and reset_is_constant means that every reset gives one "
        "state");
  }
}

// Three levels: environments on the same level start alike, and all of them are played.
void check_levels(const EnvEntry& entry, Broken& broken) {
  BatchConfig c = check_config(200, 4);
  c.world.levels.first = 10;
  c.world.levels.count = 3;
  Runner runner(entry, c);
  std::map<std::uint32_t, int> first_on;
  for (int i = 0; i < runner.n(); ++i) {
    const std::uint32_t level = runner.batch().level_of(i);
    if (level < 10 || level > 12) {
      broken.push_back("level " + text(level) + " was drawn out of [10, 12]");
      return;
    }
    const auto [at, added] = first_on.try_emplace(level, i);
    if (added || runner.batch().state_words(i) == runner.batch().state_words(at->second)) continue;
    broken.push_back("two environments start level " + text(level) + " in different states");
    return;
  }
  if (first_on.size() != 3) broken.emplace_back("200 environments do not play all of three levels");
}

}  // namespace rollmill::contract
