// Our toy text tasks against Gymnasium's, step by step and exactly: its random outcomes are put into apply(). The recorded
// lines are described in make_toy_text.py.
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "envs/batch_cpu.h"
#include "envs/toy_text/blackjack.h"
#include "envs/toy_text/cliff_walking.h"
#include "envs/toy_text/frozen_lake.h"
#include "envs/toy_text/taxi.h"
#include "tests/oracle/trajectory.h"

namespace rollmill {
namespace {

std::vector<std::string> recorded_lines(const std::string& name) {
  const std::string path =
      std::string(RM_TEST_DATA_DIR) + "/oracle/data/toy_text_" + name + ".txt.z";
  std::ifstream file(path, std::ios::binary);
  std::istringstream text(test::detail::inflate_all(
      {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

template <class Number>
std::vector<Number> numbers(const std::string& text) {
  std::istringstream in(text);
  std::vector<Number> values;
  for (Number x; in >> x;) values.push_back(x);
  return values;
}

struct Recorded {
  std::int32_t action;
  std::vector<std::uint32_t> draws;
  std::vector<std::int32_t> observation;
  float reward;
  bool terminated, truncated;
  std::vector<std::uint32_t> extra;
};

Recorded parse_step(const std::string& line) {
  const std::size_t first = line.find(':'), second = line.find(':', first + 1);
  const auto head = numbers<std::uint32_t>(line.substr(0, first));
  const auto tail = numbers<float>(line.substr(second + 1));
  Recorded r{static_cast<std::int32_t>(head.at(0)),
             {head.begin() + 1, head.end()},
             numbers<std::int32_t>(line.substr(first + 1, second - first - 1)),
             tail.at(0),
             tail.at(1) == 1.0f,
             tail.at(1) == 2.0f,
             {}};
  for (std::size_t k = 2; k < tail.size(); ++k)
    r.extra.push_back(static_cast<std::uint32_t>(tail[k]));
  return r;
}

template <int kSide>
typename FrozenLakeTask<kSide>::Draws draws_of(const Recorded& r, const FrozenLakeTask<kSide>*) {
  return {r.draws.at(0)};
}
CliffWalking::Draws draws_of(const Recorded& r, const CliffWalking*) { return {r.draws.at(0)}; }
Taxi::Draws draws_of(const Recorded& r, const Taxi*) { return {r.draws.at(0), r.draws.at(1)}; }
// A card beyond those that Gymnasium drew would be an error: with 0 in its place it shows, as a hand that is too low.
Blackjack::Draws draws_of(const Recorded& r, const Blackjack*) {
  Blackjack::Draws d{};
  for (std::size_t k = 0; k < r.draws.size(); ++k) d.card[k] = r.draws[k];
  return d;
}

// What else the recorder wrote about the state after a step.
template <class Env>
std::vector<std::uint32_t> extra_of(const typename Env::State&, const typename Env::Params&) {
  return {};
}
template <>
std::vector<std::uint32_t> extra_of<Taxi>(const Taxi::State& s, const Taxi::Params& p) {
  Word mask = 0;
  Taxi::mask(s, p, Words{&mask, 1});
  return {mask};
}
template <>
std::vector<std::uint32_t> extra_of<Blackjack>(const Blackjack::State& s,
                                               const Blackjack::Params&) {
  return {s.dealer, s.dealer_ace};
}

struct Followed {
  int steps = 0, wrong = 0, terminated = 0, truncated = 0, out_of_place = 0;
  std::map<float, int> rewards;
  std::string first_wrong;
};

template <class Env>
typename Env::Params params_of(const std::string& words) {
  typename Env::Params params{};
  std::istringstream in(words);
  std::size_t known = 0, given = 0;
  for (std::string word; in >> word; ++given) {
    const std::size_t equals = word.find('=');
    params.visit([&](const FieldInfo& f, auto& value) {
      if (word.substr(0, equals) != f.name) return;
      value =
          static_cast<std::remove_reference_t<decltype(value)>>(std::stod(word.substr(equals + 1)));
      ++known;
    });
  }
  EXPECT_EQ(known, given) << words;
  return params;
}

// Follows the lines of every variant of one environment.
template <class Env>
Followed follow(const std::vector<std::string>& lines) {
  Followed result;
  typename Env::Params params{};
  typename Env::State state{};
  bool ours = false, ended = false;
  int length = 0;
  const std::string start = std::string("variant ") + Env::info.id;
  for (const std::string& line : lines) {
    if (line.rfind("variant", 0) == 0) {
      ours = line == start || line.rfind(start + " ", 0) == 0;
      if (ours) params = params_of<Env>(line.substr(start.size()));
    } else if (ours && line.rfind("reset", 0) == 0) {
      const auto words = numbers<std::uint32_t>(line.substr(5));
      EXPECT_EQ(static_cast<int>(words.size()), kWords<typename Env::State>);
      state = load_columns<typename Env::State>(words.data(), 1, 0);
      length = 0;
      ended = false;
    } else if (ours) {
      const Recorded r = parse_step(line);
      result.out_of_place += ended;
      const Transition t =
          Env::apply(state, params, r.action, draws_of(r, static_cast<Env*>(nullptr)));
      IntWord observation[Env::Observation::kSize];
      Env::observe(state, params, Ints{observation, 1});
      ++length;
      bool same = std::equal(r.observation.begin(), r.observation.end(), std::begin(observation),
                             std::end(observation));
      same = same && t.reward == r.reward && (t.reason != 0) == r.terminated;
      same = same && (t.reason == 0 && length == Env::info.time_limit) == r.truncated;
      same = same && extra_of<Env>(state, params) == r.extra;
      if (!same && result.wrong++ == 0) result.first_wrong = line;
      ended = r.terminated || r.truncated;
      ++result.steps;
      result.terminated += r.terminated;
      result.truncated += r.truncated;
      ++result.rewards[r.reward];
    }
  }
  EXPECT_EQ(result.wrong, 0) << Env::info.id << ": first wrong line: " << result.first_wrong;
  EXPECT_EQ(result.out_of_place, 0);
  return result;
}

// The counts say that the recordings hold what they are for.
TEST(ToyTextOracle, FrozenLake) {
  const auto lines = recorded_lines("frozen_lake");
  const Followed small = follow<FrozenLake>(lines), large = follow<FrozenLake8x8>(lines);
  EXPECT_EQ(small.steps, 4 * 12000);
  EXPECT_EQ(large.steps, 3 * 12000);
  EXPECT_GT(small.rewards.at(1.0f), 50);
  EXPECT_GT(small.rewards.at(2.5f), 5);
  EXPECT_GT(small.rewards.at(-1.25f), 100);
  EXPECT_GT(large.terminated, 500);
}

TEST(ToyTextOracle, CliffWalking) {
  const Followed f = follow<CliffWalking>(recorded_lines("cliff_walking"));
  EXPECT_EQ(f.steps, 2 * 12000);
  EXPECT_GT(f.rewards.at(-100.0f), 500);
  EXPECT_GT(f.terminated, 0);
}

TEST(ToyTextOracle, Taxi) {
  const Followed f = follow<Taxi>(recorded_lines("taxi"));
  EXPECT_EQ(f.steps, 5 * 12000);
  EXPECT_GT(f.terminated, 500);
  EXPECT_GT(f.truncated, 20);
  EXPECT_GT(f.rewards.at(-10.0f), 5000);
}

TEST(ToyTextOracle, Blackjack) {
  const Followed f = follow<Blackjack>(recorded_lines("blackjack"));
  EXPECT_EQ(f.steps, 3 * 12000);
  EXPECT_GT(f.rewards.at(1.5f), 50);
  EXPECT_GT(f.terminated, 20000);
}

}  // namespace
}  // namespace rollmill
