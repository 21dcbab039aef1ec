// Value iteration over a small table of states, for the scripted experts of the tabular tasks. Host only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "envs/env.h"

namespace rollmill::toy_text {

// One way a step may go.
template <class Draws>
struct Chance {
  double probability;
  Draws draws;
};

// The action of highest expected discounted return in each of `states` states. The task's own apply() is asked what
// follows: start(index) makes a state, index_of(state) is its number. Actions within 1e-9 of the best count as equal,
// of which the lowest is taken, so that the last bits of a value decide nothing.
template <class Env, class Start, class IndexOf>
std::vector<std::int32_t> plan(int states, int actions, double discount,
                               const typename Env::Params& params,
                               const std::vector<Chance<typename Env::Draws>>& chances, Start start,
                               IndexOf index_of) {
  struct Outcome {
    double probability, reward, discount;
    std::size_t next;
  };
  std::vector<Outcome> outcomes;  // [states][actions][chances]
  for (int s = 0; s < states; ++s) {
    for (int a = 0; a < actions; ++a) {
      for (const auto& chance : chances) {
        typename Env::State state = start(s);
        const Transition t = Env::apply(state, params, a, chance.draws);
        outcomes.push_back({chance.probability, static_cast<double>(t.reward),
                            t.reason != 0 ? 0.0 : discount,
                            static_cast<std::size_t>(index_of(state))});
      }
    }
  }
  std::vector<double> values(static_cast<std::size_t>(states), 0.0);
  std::vector<std::int32_t> best(static_cast<std::size_t>(states), 0);
  double change = 1;
  for (int sweep = 0; sweep < 5000 && change > 1e-10; ++sweep) {
    change = 0;
    const Outcome* outcome = outcomes.data();
    for (std::size_t s = 0; s < values.size(); ++s) {
      double highest = 0;
      for (int a = 0; a < actions; ++a) {
        double value = 0;
        for (std::size_t k = 0; k < chances.size(); ++k, ++outcome) {
          value +=
              outcome->probability * (outcome->reward + outcome->discount * values[outcome->next]);
        }
        if (a == 0 || value > highest + 1e-9) {
          highest = value;
          best[s] = a;
        }
      }
      change = std::max(change, std::abs(highest - values[s]));
      values[s] = highest;
    }
  }
  return best;
}

// Plans by the words they depend on: parameters and, where it varies, the map. A thread keeps its own.
template <std::size_t kKeyWords, class Make>
const std::vector<std::int32_t>& cached_plan(const std::array<std::uint32_t, kKeyWords>& key,
                                             Make make) {
  static thread_local std::map<std::array<std::uint32_t, kKeyWords>, std::vector<std::int32_t>>
      plans;
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  if (plans.size() >= 4096) plans.clear();
  return plans[key] = make();
}

// The words of a task's parameters.
template <class Params>
constexpr std::size_t param_words() {
  std::size_t count = 0;
  Params p{};
  p.visit([&](const FieldInfo&, auto&) { ++count; });
  return count;
}
template <std::size_t kKeyWords, class Params>
void put_params(Params params, std::array<std::uint32_t, kKeyWords>& key) {
  std::size_t k = 0;
  params.visit(
      [&](const FieldInfo&, auto& value) { key[k++] = __builtin_bit_cast(std::uint32_t, value); });
}

}  // namespace rollmill::toy_text
