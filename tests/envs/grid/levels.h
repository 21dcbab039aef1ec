// Levels over the whole range of an environment's parameters, played by its expert; and what no policy without memory can
// exceed.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "core/rng/rng.h"
#include "envs/describe.h"
#include "envs/env.h"

namespace rollmill::test {

// Every parameter uniform over its range: integers with both ends, floats too.
template <class Env>
typename Env::Params draw_params(Rng& rng) {
  typename Env::Params params{};
  params.visit([&](const FieldInfo& f, auto& value) {
    if constexpr (std::is_integral_v<std::remove_reference_t<decltype(value)>>) {
      value =
          static_cast<std::int32_t>(f.low) +
          static_cast<std::int32_t>(rng.integer(static_cast<std::uint32_t>(f.high - f.low) + 1));
    } else {
      value = rng.uniform(static_cast<float>(f.low), static_cast<float>(f.high));
    }
  });
  return params;
}

template <class Env>
using ObservationWords = std::array<std::uint32_t, Env::Observation::kSize>;

template <class Env>
ObservationWords<Env> observe(const typename Env::State& state,
                              const typename Env::Params& params) {
  ObservationWords<Env> words;
  words.fill(0xDEADBEEFu);
  using Writer = typename Env::Observation::Writer;
  Env::observe(state, params, Writer{reinterpret_cast<decltype(Writer::data)>(words.data()), 1});
  return words;
}

// One level: its parameters, and the stream of its initial state.
template <class Env>
struct Level {
  typename Env::Params params{};
  typename Env::State state{};
  std::uint32_t number = 0;
};

template <class Env>
Level<Env> make_level(std::uint32_t number, const typename Env::Params& params) {
  Level<Env> level{params, {}, number};
  Rng rng(1, Purpose::kReset, 0, number, 0);
  Env::reset(level.state, params, rng);
  return level;
}

template <class Env>
Level<Env> make_level(std::uint32_t number) {
  Rng rng(1, Purpose::kParameters, 0, number, 0);
  return make_level<Env>(number, draw_params<Env>(rng));
}

struct Ended {
  std::uint32_t reason = 0;  // 0: the time limit
  float episode_return = 0;
  int steps = 0;
};

// Plays a level to its end; before each step calls see(state, params, action) with the action that policy(state, params) chose.
template <class Env, class Policy, class See>
Ended play(Level<Env>& level, Policy&& policy, See&& see) {
  Ended ended;
  while (ended.reason == 0 && ended.steps < Env::info.time_limit) {
    const typename Env::Action::Value action = policy(level.state, level.params);
    see(level.state, level.params, action);
    Rng rng(1, Purpose::kStep, 0, level.number, static_cast<std::uint32_t>(ended.steps));
    const Transition t = Env::step(level.state, level.params, action, rng);
    ended.reason = t.reason;
    ended.episode_return += t.reward;
    ++ended.steps;
  }
  return ended;
}

template <class Env>
Ended play_expert(Level<Env>& level) {
  return play(
      level, [](const auto& s, const auto& p) { return Env::expert(s, p); },
      [](const auto&, const auto&, const auto&) {});
}

// Counts which answer was right after which key (an observation). success() is what the best function from keys to answers,
// chosen with hindsight, would have scored: no policy that sees only the key can do better on these cases.
template <class Key>
class BestFunction {
 public:
  void add(const Key& key, std::int32_t answer) {
    ++cases_[key][answer];
    ++total_;
  }
  double success() const {
    std::int64_t right = 0;
    for (const auto& [key, answers] : cases_) {
      std::int64_t best = 0;
      for (const auto& [answer, count] : answers) best = count > best ? count : best;
      right += best;
    }
    return static_cast<double>(right) / static_cast<double>(total_);
  }
  std::size_t keys() const { return cases_.size(); }
  const std::map<Key, std::map<std::int32_t, std::int64_t>>& cases() const { return cases_; }

 private:
  std::map<Key, std::map<std::int32_t, std::int64_t>> cases_;
  std::int64_t total_ = 0;
};

// Pearson's statistic of counts against equal shares.
inline double chi_square(const std::map<std::int32_t, std::int64_t>& counts, int categories) {
  double total = 0, sum = 0;
  for (const auto& [answer, count] : counts) total += static_cast<double>(count);
  const double expected = total / categories;
  for (const auto& [answer, count] : counts) {
    sum += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected);
  }
  return (sum + (categories - static_cast<double>(counts.size())) * expected * expected) / expected;
}

}  // namespace rollmill::test
